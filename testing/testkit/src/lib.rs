//! What the tests share: a hub process, folders, installed peers.
