//! HTTP and HTTPS: server information, pairing, applications, launch, resume, cancel.
