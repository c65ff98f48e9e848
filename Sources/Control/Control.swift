/// The outside of the switch: what a user, a script or systemd can say to it, and what it answers.
///
/// The way of a request: bytes arrive on a Unix stream socket (`ControlServer`, one event loop thread), are cut
/// into JSON objects (`RequestFramer`), read as JSON-RPC 1.0 (`Request`), matched against the catalogue of
/// commands (`CommandCatalogue`: names, usages, numbers of arguments) and run by a handler (`CommandRegistry`) on the
/// one control thread (`ControlThread`). The answer, text or JSON, goes back the same way.
///
/// Invariants.
/// - Everything that changes the switch happens on the control thread, one command after the other. So a
///   handler needs no lock, and two clients can never interleave inside one command.
/// - Nothing that a client sends or fails to read costs the switch more than a fixed amount of memory: one request per
///   connection is in work, later ones wait in the kernel's socket buffer, and the sums over all connections of
///   what is half received and what waits to be read are bounded (`ControlLimits`).
/// - No input traps. A malformed request is answered with an error that names what was wrong; a configuration
///   with any error changes nothing.
///
/// Threads: the event loop owns connections and never runs commands; the control thread owns the switch's
/// configuration and never waits for a client; the main thread of `weftd` waits for signals.
///
/// Costs: a few system calls and two thread wake-ups a request; docs/control.md has the figure. Workers take part,
/// between two bursts, in commands about packets (`inject`) and in those that show their counters or caches.
public enum Control {
    /// Version of the switch, as `version`, `--version` and the metrics show it.
    public static let version = "0.1.0"
    /// Where the control socket is unless said otherwise.
    public static let defaultSocketPath = "/run/weft/weft.sock"
    /// Environment variable that names the control socket.
    public static let socketEnvironmentVariable = "WEFT_CONTROL"
}
