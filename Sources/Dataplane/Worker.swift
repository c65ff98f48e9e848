import Actions
import Base
import CLinux
import Conntrack
import Flow
import FlowCache
import Memory
import Pipeline
import Ports
import Shaping
import Synchronization

/// One poll-mode thread, pinned to a core, that does everything for a packet: receive, key, caches, slow path, actions,
/// transmit. It owns its buffers, caches, translator and transmit queues; it shares nothing that it would have to
/// lock on the way of a packet. `Worker+Loop` is the thread, `Worker+Process` the way of a burst.
///
/// Other threads reach it through `post` (work between two bursts) and read its `counters`.
public final class Worker: @unchecked Sendable {
    public let number: Int
    /// Core that it is pinned to; nil lets the kernel place it.
    public let core: Int?
    public let counters = WorkerCounters()

    let model: SwitchModel
    let clock: SwitchClock
    let reader: SwitchModel.Reader
    let mailbox = Mailbox()
    let translator = Translator()
    let effects: TranslationEffects
    let burstSize: Int
    let tracker: ConnectionTracker
    let reassembler: FragmentReassembler
    let datagram = FragmentedDatagram()

    /// Behind a pointer: while a program runs with it, a batch that is full is sent and its buffers go back to it.
    let pool: UnsafeMutablePointer<PacketPool>
    var cache: FlowCache
    /// For packets that come back from connection tracking. Apart, since their keys have more words, and the others need
    /// not be told apart from them.
    var returning: FlowCache
    /// For packets of connections whose whole way is known.
    var sessions: SessionCache
    /// Trace of the packet that is being executed, 0 if it has none.
    var tracing: UInt16 = 0
    /// What programs use beside ports.
    let services: UnsafeMutablePointer<ExecutionServices>
    /// Ids of the states of the packets in the burst of `returning`.
    let returningIDs: UnsafeMutablePointer<UInt32>
    let outputs: OutputBatches
    /// What `outputs` calls back with: the worker's address.
    private let selfReference: UnsafeMutablePointer<Unmanaged<Worker>?>
    var receivers: [PortReceiver] = [] { didSet { pollReceivers() } }
    /// The same, unretained, for the loop.
    private(set) var polled = UnsafeMutableBufferPointer<Unmanaged<PortReceiver>>(start: nil, count: 0)
    /// What a sleeping worker waits for: room for the mailbox and each receiver.
    private(set) var watched = UnsafeMutablePointer<pollfd>.allocate(capacity: 1)
    /// By port index; unretained, kept alive by `transmitterOwners`.
    let transmitters: UnsafeMutablePointer<Unmanaged<PortTransmitter>?>
    var transmitterOwners: [UInt32: PortTransmitter] = [:]
    /// Some receiver may bring frames whose checksum or segmentation is left to the transmitter.
    var seesOffloads = false
    let segmentFrames: UnsafeMutablePointer<Packet>
    /// Frames of this round that go at its end.
    let waiting: UnsafeMutablePointer<Packet>
    var waitingCount = 0
    /// Zone in which a packet as received was last looked up.
    var expectedZone: UInt16 = 0
    var vlanLimit = 1
    var knownGeneration: UInt64 = 0

    // The thread.
    let stopping = Atomic<Bool>(false)
    var thread = pthread_t()
    var isRunning = false
    var idle = IdlePolicy()
    let ticksPerMillisecond = Worker.cyclesPerMillisecond
    var upkeepDue: UInt64 = 0
    var rankDue: UInt64 = 0
    /// Megaflows that should have been swept by now.
    var sweepOwed = 0
    /// Where settling goes on, negative if there is none to be done; when, in ticks; and who is told of its end.
    var settleAt = -1
    var settlesConnections = false
    var settleDue: UInt64 = 0
    var whenSettled: (@Sendable () -> Void)?

    public init(
        number: Int, core: Int?, model: SwitchModel, clock: SwitchClock, reader: SwitchModel.Reader,
        cache: FlowCacheConfiguration, tracker: ConnectionTracker, reassembler: FragmentReassembler,
        burstSize: Int = 32
    ) {
        self.number = number
        self.core = core
        self.model = model
        self.clock = clock
        self.reader = reader
        self.burstSize = min(max(1, burstSize), FlowCacheLimits.maximumBurst)
        effects = TranslationEffects(learnQueue: model.learnQueue, counters: model.counters)
        pool = .allocate(capacity: 1)
        pool.initialize(to: PacketPool())
        self.cache = FlowCache(cache, counters: model.counters, changes: model.changes, frozen: model.frozen)
        returning = FlowCache(
            cache.returning, counters: model.counters, changes: model.changes, frozen: model.frozen)
        sessions = SessionCache(
            cache, first: self.cache.megaflowRecords, returning: returning.megaflowRecords,
            changes: .passUnretained(model.changes),
            tracker: .passUnretained(tracker), worker: number)
        services = .allocate(capacity: 1)
        services.initialize(to: ExecutionServices())
        services.pointee.worker = number
        services.pointee.meters = model.meters.lookup
        services.pointee.tracker = .passUnretained(tracker)
        services.pointee.reassembler = .passUnretained(reassembler)
        services.pointee.datagram = .passUnretained(datagram)
        self.reassembler = reassembler
        self.tracker = tracker
        returningIDs = .allocate(capacity: FlowCacheLimits.maximumBurst)
        segmentFrames = .allocate(capacity: Self.segmentCapacity)
        waiting = .allocate(capacity: FlowCacheLimits.maximumBurst)
        transmitters = .allocate(capacity: OutputBatches.maximumPorts)
        transmitters.initialize(repeating: nil, count: OutputBatches.maximumPorts)
        selfReference = .allocate(capacity: 1)
        selfReference.initialize(to: nil)
        outputs = OutputBatches(context: selfReference) { context, port in
            let reference = context.assumingMemoryBound(to: Unmanaged<Worker>?.self).pointee
            reference?._withUnsafeGuaranteedRef { $0.transmit(port) }
        }
        selfReference.pointee = .passUnretained(self)
    }

    private func pollReceivers() {
        polled.deallocate()
        polled = .allocate(capacity: receivers.count)
        watched.deallocate()
        watched = .allocate(capacity: receivers.count + 1)
        for (i, receiver) in receivers.enumerated() { polled.initializeElement(at: i, to: .passUnretained(receiver)) }
    }

    deinit {
        polled.deallocate()
        watched.deallocate()
        pool.deinitialize(count: 1)
        pool.deallocate()
        segmentFrames.deallocate()
        waiting.deallocate()
        services.deinitialize(count: 1)
        services.deallocate()
        returningIDs.deallocate()
        transmitters.deallocate()
        selfReference.deallocate()
    }
}
