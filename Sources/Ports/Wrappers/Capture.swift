import Base
import CLinux
import Memory
import Synchronization

/// Writes what crosses a port, both ways, to a capture file: the frames that a pcap-filter(7) expression selects.
///
/// Attached with `Port.observe(with:)`. Frames stand in the file as the port saw them: a segmentation super-frame is one
/// long frame, a checksum that was left to the device is not filled in. The file is complete after every burst.
public final class Capture: FrameObserver, @unchecked Sendable {
    public let path: String
    private let writer: PcapWriter
    /// The compiled filter, and the expression's handle that keeps nothing open.
    private let program: UnsafeMutablePointer<bpf_program>?
    /// Frames still to be taken; falls below 0 when several workers reach the end together.
    private let left: Atomic<Int>
    private let taken = Atomic<Int>(0)
    private let failed = Atomic<Bool>(false)

    /// - Parameters:
    ///   - port: for error texts.
    ///   - filter: pcap-filter(7); nil or empty takes everything.
    ///   - count: frames after which no more are taken; nil goes on until stopped.
    public init(port: String, path: String, filter: String? = nil, count: Int? = nil) throws(PortError) {
        let program = try Self.compile(filter, port)
        do throws(PortError) {
            writer = try PcapWriter(port: port, path: path)
        } catch {
            Self.release(program)
            throw error
        }
        self.program = program
        self.path = path
        left = Atomic(count ?? Int.max)
    }

    deinit { Self.release(program) }

    /// Frames in the file.
    public var frameCount: Int { taken.load(ordering: .relaxed) }
    /// True once `count` frames were taken or the file cannot be written any more; the owner then detaches it.
    public var isFinished: Bool { left.load(ordering: .relaxed) <= 0 || hasFailed }
    public var hasFailed: Bool { failed.load(ordering: .relaxed) }

    override public func observe(_ packets: UnsafePointer<Packet>, _ count: Int, _ direction: FrameDirection) {
        if isFinished { return }
        let now = weft_clock(CLOCK_REALTIME)
        for index in 0..<count where selects(packets[index]) {
            guard left.subtract(1, ordering: .relaxed).oldValue > 0 else { break }
            let header = packets[index].pointee
            let time = direction == .received && header.timestamp != 0 ? header.timestamp : now
            guard writer.write(header.data, Int(header.length), time: time) else {
                failed.store(true, ordering: .relaxed)
                return
            }
            taken.add(1, ordering: .relaxed)
        }
        if !writer.flush() { failed.store(true, ordering: .relaxed) }
    }

    private func selects(_ packet: Packet) -> Bool {
        guard let program else { return true }
        var header = pcap_pkthdr()
        header.caplen = packet.pointee.length
        header.len = packet.pointee.length
        return pcap_offline_filter(program, &header, packet.pointee.data.assumingMemoryBound(to: UInt8.self)) != 0
    }

    private static func compile(
        _ filter: String?, _ port: String
    ) throws(PortError) -> UnsafeMutablePointer<bpf_program>? {
        guard let filter, !filter.isEmpty else { return nil }
        guard let handle = pcap_open_dead(DLT_EN10MB, 262_144) else {
            throw PortError(.badValue(option: "filter"), port: port, "filter=\(filter.echoed): not enough memory")
        }
        defer { pcap_close(handle) }
        let program = UnsafeMutablePointer<bpf_program>.allocate(capacity: 1)
        guard pcap_compile(handle, program, filter, 1, UInt32.max) == 0 else {
            program.deallocate()
            let text = String(cString: pcap_geterr(handle))
            throw PortError(
                .badValue(option: "filter"), port: port,
                "filter=\(filter.echoed): \(text); expected pcap-filter(7) syntax")
        }
        return program
    }

    private static func release(_ program: UnsafeMutablePointer<bpf_program>?) {
        guard let program else { return }
        pcap_freecode(program)
        program.deallocate()
    }
}
