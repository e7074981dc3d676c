//! The RTSP door: plain and sealed, one request per connection.
