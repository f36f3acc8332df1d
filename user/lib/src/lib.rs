//! Reads what the Pagelens modules and /proc say about memory.
