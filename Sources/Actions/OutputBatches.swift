import Base
import Memory

/// Frames on their way out, gathered by port so that each transmitter is called once with many.
///
/// Flat memory, indexed by `PortIndex`: `capacity` places for each port (touched, and so resident, only for ports in
/// use) and a list of the ports that have something. When a port's batch is full, `flush` is called for that port
/// and must empty it with `take`. All state lies behind pointers, so that call may use the batches too.
///
/// Owned by one worker. A frame that was appended belongs to the batch; whoever takes it frees it.
public struct OutputBatches: ~Copyable {
    /// Frames a port at the most.
    @inlinable public static var capacity: Int { 64 }
    /// Highest port index plus one.
    @inlinable public static var maximumPorts: Int { 16384 }

    /// Sends a full batch off: the context given at creation, and the port.
    public typealias Flush = @convention(c) (_ context: UnsafeMutableRawPointer, _ port: UInt32) -> Void

    @usableFromInline let memory: LineMemory
    @usableFromInline let batches: UnsafeMutablePointer<Packet>
    @usableFromInline let counts: UnsafeMutablePointer<UInt32>
    /// Ports with at least one frame, in order of their first.
    public let active: UnsafeMutablePointer<UInt32>
    @usableFromInline let activeTotal: UnsafeMutablePointer<Int>
    @usableFromInline let flush: Flush
    @usableFromInline let context: UnsafeMutableRawPointer

    public init(context: UnsafeMutableRawPointer, flush: @escaping Flush) {
        self.context = context
        self.flush = flush
        let batchBytes = Self.maximumPorts * Self.capacity * 8
        memory = LineMemory(byteCount: batchBytes + Self.maximumPorts * 8 + 64)
        batches = memory.start.bindMemory(to: Packet.self, capacity: Self.maximumPorts * Self.capacity)
        counts = (memory.start + batchBytes).bindMemory(to: UInt32.self, capacity: Self.maximumPorts)
        active = (memory.start + batchBytes + Self.maximumPorts * 4)
            .bindMemory(to: UInt32.self, capacity: Self.maximumPorts)
        activeTotal = (memory.start + batchBytes + Self.maximumPorts * 8).bindMemory(to: Int.self, capacity: 1)
    }

    @inlinable public var activeCount: Int { activeTotal.pointee }

    /// All ports have been emptied with `take`: the list of active ones starts anew.
    @inlinable public func endRound() { activeTotal.pointee = 0 }

    /// Hands the frame over. False, and the frame still the caller's, if no port can have this index.
    @inlinable @inline(__always)
    public func append(_ packet: Packet, to port: UInt32) -> Bool {
        guard port < UInt32(Self.maximumPorts) else { return false }
        var count = counts[Int(port)]
        if count == 0 {
            active[activeTotal.pointee] = port
            activeTotal.pointee &+= 1
        } else if count == UInt32(Self.capacity) {
            flush(context, port)
            count = counts[Int(port)]
        }
        batches[Int(port) &* Self.capacity &+ Int(count)] = packet
        counts[Int(port)] = count &+ 1
        return true
    }

    /// The frames that wait for a port; the batch counts as empty from now on, its memory stays valid until the next
    /// `append`. The port stays in the list of active ones.
    @inlinable
    public func take(_ port: UInt32) -> UnsafeMutableBufferPointer<Packet> {
        let count = Int(counts[Int(port)])
        counts[Int(port)] = 0
        return UnsafeMutableBufferPointer(start: batches + Int(port) &* Self.capacity, count: count)
    }
}
