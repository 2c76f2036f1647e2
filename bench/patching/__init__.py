"""Whole programs that cut patches, to be measured beside `allcores patches`, and the images that they cut."""
