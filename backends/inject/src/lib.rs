//! Input injection means that desktops compose: wlr virtual pointer and virtual keyboard
