//! The scheduler under a virtual clock, with a fake host and a scripted resource manager.

mod audit;
mod deployment;
mod faults;
mod queueing;
mod random;
mod room;
mod scale;
mod waiting;
mod workers;
mod world;
