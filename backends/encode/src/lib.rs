//! Video encoders: OpenH264 (bundled) and libavcodec (opened at run time)
