# The everyday commands. Whatever has a branch in it is in xtask.

# Format, lints, dependencies, layers.
check:
    cargo xtask check

# Every test; installs what the tests need. `just test NAME` runs those whose name matches.
test *FILTER:
    cargo xtask test {{FILTER}}

# Whole hubs under one virtual clock.
sim:
    cargo test -p tomte-sim

# Kills a hub at random moments: `just torture mqtt --rounds 100`.
torture *ARGS:
    cargo xtask torture {{ARGS}}

# libFuzzer over every decoder and the whole hub: `just fuzz codec --for 10m`.
fuzz *ARGS:
    cargo xtask fuzz {{ARGS}}

# The real binary with real clients.
system:
    cargo xtask install-tools
    cargo test -p tomte-system

# Throughput, latency, memory and start time beside mosquitto.
bench *ARGS:
    cargo xtask bench {{ARGS}}

# The documentation site, into docs/book.
docs:
    mdbook build docs

# A hub in this terminal: the project in the current folder.
run:
    cargo run --release -- dev

# The greenhouse.
demo:
    cargo run --release -- demo
