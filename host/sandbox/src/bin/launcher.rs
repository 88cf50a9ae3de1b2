//! A launcher without a hub around it, for the tests of this crate.

fn main() {
    tomte_sandbox::launcher::run_if_asked();
    eprintln!("this program is started by the tests of tomte-sandbox, it does nothing by itself");
    std::process::exit(2);
}
