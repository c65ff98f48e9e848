import Actions
import Base
import Flow
import FrameSupport
import Memory

struct RunResult {
    var outcome = Executor.Outcome(sent: 0, lost: 0)
    /// Frames sent, in the order of ports and, within a port, of sending.
    var sent: [(port: UInt32, frame: [UInt8])] = []
    var drops: [DropReason] = []
    var frames: [[UInt8]] { sent.map(\.frame) }
}

/// Runs a program, with an output to port 1 behind it unless it has its own, over a frame whose key was extracted.
func run(
    _ builder: ProgramBuilder, on frame: [UInt8], pool: inout PacketPool, addsOutput: Bool = true,
    port: UInt32 = 1, services: UnsafeMutablePointer<ExecutionServices>? = nil,
    prepare: (Packet) -> Void = { _ in }, inspect: (Packet) -> Void = { _ in }
) -> RunResult {
    var program = builder
    if addsOutput { program.output(PortIndex(1)) }
    let buffer = packet(frame, port: port, from: &pool)
    var key = FlowKey()
    withUnsafeMutableBytes(of: &key) { bytes in
        _ = extractKey(buffer, into: bytes.baseAddress!.assumingMemoryBound(to: UInt64.self), vlanLimit: 2)
    }
    prepare(buffer)
    var result = RunResult()
    let outputs = OutputBatches(context: UnsafeMutableRawPointer(bitPattern: 8)!) { _, _ in
        fatalError("no test of this kind fills a batch")
    }
    var drops = [UInt64](repeating: 0, count: DropReason.count)
    drops.withUnsafeMutableBufferPointer { drops in
        program.words.withUnsafeBufferPointer { words in
            result.outcome = Executor.execute(
                words.baseAddress ?? UnsafePointer(drops.baseAddress!), count: words.count, on: buffer, pool: &pool,
                outputs: outputs, drops: drops.baseAddress!, services: services)
        }
    }
    for i in 0..<outputs.activeCount {
        let port = outputs.active[i]
        for packet in outputs.take(port) {
            inspect(packet)
            result.sent.append((port, bytes(packet)))
            pool.free(packet)
        }
    }
    for (i, count) in drops.enumerated() {
        for _ in 0..<count { result.drops.append(DropReason(rawValue: UInt8(i))!) }
    }
    return result
}

/// CRC32c bit by bit.
func plainCRC(_ bytes: [UInt8]) -> UInt32 {
    var crc: UInt32 = ~0
    for byte in bytes {
        crc ^= UInt32(byte)
        for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0x82f6_3b78 : crc >> 1 }
    }
    return ~crc
}
