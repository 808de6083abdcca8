"""Style transfer: the content of one picture in the style of others. ``boda.stylize`` begins here.

Gatys, Ecker, Bethge, "A neural algorithm of artistic style", 2015, arXiv 1508.06576, where the pixels
are what is fitted; and Johnson, Alahi, Fei-Fei, "Perceptual losses for real-time style transfer and
super-resolution", 2016, arXiv 1603.08155, where a network is, once for a style.
"""
