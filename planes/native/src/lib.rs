//! The punktfunk/1 plane: QUIC control beside a native-thread UDP data plane
