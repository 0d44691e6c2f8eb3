"""Look at a data set, and crop its pictures, before training."""
