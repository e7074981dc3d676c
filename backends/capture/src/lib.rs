//! Screen capture means that desktops compose: wlr-screencopy, ext-image-copy-capture
