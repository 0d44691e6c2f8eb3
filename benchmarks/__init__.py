"""Measurements that are ratios: what is compared runs side by side, in turns, so that a busy machine slows both."""
