"""The reference application: `isomix.Studio` over HTTP, with a page. Copy what you need."""
