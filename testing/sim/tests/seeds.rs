//! Runs of the simulator.

use tomte_sim::run;

#[test]
fn repeat() {
    let Ok(seed) = std::env::var("TOMTE_SIM_SEED") else { return };
    let outcome = run(seed.parse().expect("TOMTE_SIM_SEED is a number"));
    println!("{}", outcome.coverage);
    if let Some(failure) = outcome.failure {
        panic!("{failure}");
    }
}
