"""Facts and rules: values without input or output, made of the standard library and attrs."""
