import Actions
import Base
import Shaping
import Synchronization

/// The owner of the switch's configuration: the only way to change a `SwitchState`.
///
/// The control thread alone calls what is here, but for `makeReader`, `changes`, and what `Counters`, `StationTable` and
/// `LearnQueue` allow other threads. A change is checked in full before anything is touched; then it is made on the copy
/// behind, published, told to the `ChangeLog`, and made on the other copy once no worker reads that any more.
/// Whatever is refused (`StateError`) leaves no trace.
///
/// Besides the two copies there is what only the control thread needs to know, once: `RuleBook` for each bridge, the
/// names of patch peers. Time comes as an argument, in milliseconds of the switch's clock.
public final class SwitchModel: @unchecked Sendable {
    public typealias Reader = LeftRight<SwitchState>.Reader

    public let counters = Counters()
    public let changes = ChangeLog()
    /// What polices; `Meter.number` leads into it.
    public let meters = MeterTable()
    /// What `learn` actions ask for.
    public let learnQueue = LearnQueue()
    /// States that frames come back to.
    public let frozen: FrozenStates
    let copies: LeftRight<SwitchState>
    /// By bridge number.
    var books: [RuleBook] = []
    /// Names that patch ports have as `options:peer`.
    var patchPeers: [PortIndex: String] = [:]
    /// Port indices to give out again, longest unused first.
    var freePorts: [PortIndex] = []
    /// Ports by name.
    var portIndices: [String: PortIndex] = [:]
    /// Ports at the most, over all bridges: patch ports and the bridges' own ports included.
    package var portLimit = OutputBatches.maximumPorts - 1
    /// Called when ports have been deleted and no reader can see them any more, before their indices are given out again.
    public var whenPortsGo: (([PortIndex]) -> Void)?

    public init() {
        let frozen = FrozenStates()
        self.frozen = frozen
        copies = LeftRight(SwitchState(frozen: frozen), SwitchState(frozen: frozen))
        counters.waitForReaders = { [copies] in copies.waitForReaders() }
    }

    /// A place for one worker, nil when there are 512 already.
    public func makeReader() -> Reader? { copies.makeReader() }
    public func remove(_ reader: Reader) { copies.remove(reader) }

    /// The state as it is now. Control thread only, for reading, and not across a change.
    public var state: SwitchState { copies.front }

    /// Runs `body` on both copies; it must do the same to each. `dependencies` name what it changes.
    package func change(_ dependencies: Dependencies, _ body: (SwitchState) -> Void) {
        let released = counters.releasedCount
        copies.change(body, between: { changes.touch(dependencies) })
        counters.reclaim(released)
    }

    /// Settings of the whole switch.
    public func setSettings(_ settings: SwitchSettings) throws(StateError) {
        guard (0...2).contains(settings.vlanLimit) else {
            throw StateError(.invalid, "vlan-limit \(settings.vlanLimit): must be 0 to 2")
        }
        guard settings != state.settings else { return }
        change(.settings) { $0.settings = settings }
    }

    func bridge(_ name: String) throws(StateError) -> BridgeState {
        guard let bridge = state.bridge(named: name) else {
            throw StateError(.unknown, "no bridge named \(name.echoed)")
        }
        return bridge
    }
}
