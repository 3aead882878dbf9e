"""Networks whose dilation rates are an argument, and the files they are kept in."""
