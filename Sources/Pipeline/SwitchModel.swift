import Base

/// The owner of the switch's configuration: the only way to change a `SwitchState`.
///
/// The control thread calls everything here but `makeReader`, `changes` and what `Counters` and `LearnQueue` allow
/// other threads. A change is checked in full before anything is touched; then it is applied to the copy behind,
/// published, told to the `ChangeLog`, and applied to the other copy once no worker reads it any more.
public final class SwitchModel: @unchecked Sendable {
    public typealias Reader = LeftRight<SwitchState>.Reader

    public let counters = Counters()
    public let changes = ChangeLog()
    let copies = LeftRight(SwitchState(), SwitchState())

    public init() {}

    /// A place for one worker, nil when there are 512 already.
    public func makeReader() -> Reader? { copies.makeReader() }
    public func remove(_ reader: Reader) { copies.remove(reader) }

    /// The state as it is now. Control thread only, for reading, and not across a change.
    public var state: SwitchState { copies.front }

    /// Runs `body` on both copies; it must do the same to each. `dependencies` name what it changes.
    public func change(_ dependencies: Dependencies, _ body: (SwitchState) -> Void) {
        copies.change(body, between: { changes.touch(dependencies) })
    }
}
