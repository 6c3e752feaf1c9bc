"""The third put aside: not to be read by those who write the rules."""
