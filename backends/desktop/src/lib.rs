//! Desktops that open a stage: wlroots sessions and the private headless desktop
