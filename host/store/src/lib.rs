//! Files by digest for code; deployments behind one pointer.
