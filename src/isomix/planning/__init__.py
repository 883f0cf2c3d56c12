"""What a separation will take, told before it runs: networks, time, memory, download, licence, size of the stems.

Nothing here separates anything, but for a calibration that was asked for, and that in a process of its own.
"""
