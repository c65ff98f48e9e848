import Base
import CLinux
import Logging
import Memory
import Ports
import Testing

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// A directory of its own for one test, removed with everything in it at the end.
final class Scratch {
    let path: String

    init() throws {
        var template = Array("/tmp/weft-ports-XXXXXX".utf8CString)
        path = try #require(mkdtemp(&template).map { String(cString: $0) })
    }

    deinit {
        for name in files { unlink(path + "/" + name) }
        rmdir(path)
    }

    private var files: Set<String> = []

    func file(_ name: String) -> String {
        files.insert(name)
        return path + "/" + name
    }

    func file(_ name: String, _ bytes: [UInt8]) throws -> String {
        let path = file(name)
        let descriptor = weft_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        try #require(write(descriptor, bytes, bytes.count) == bytes.count)
        return path
    }
}

func contents(_ path: String) throws -> [UInt8] {
    let descriptor = weft_open(path, O_RDONLY, 0)
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    var result: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = read(descriptor, &chunk, chunk.count)
        guard count > 0 else { return result }
        result += chunk[..<count]
    }
}

/// Seeded: SplitMix64.
struct Random: RandomNumberGenerator {
    var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }
}

/// Bytes of capture files, written by hand so that the reader is not tested with its own writer.
struct CaptureBytes {
    var bigEndian = false
    var nanoseconds = false
    var link: UInt32 = 1
    var frames: [[UInt8]]

    func word(_ value: UInt32) -> [UInt8] {
        let bytes = (0..<4).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
        return bigEndian ? bytes.reversed() : bytes
    }
    func half(_ value: UInt16) -> [UInt8] {
        let bytes = [UInt8(truncatingIfNeeded: value), UInt8(truncatingIfNeeded: value >> 8)]
        return bigEndian ? bytes.reversed() : bytes
    }

    var pcap: [UInt8] {
        var bytes = word(nanoseconds ? 0xa1b2_3c4d : 0xa1b2_c3d4) + half(2) + half(4) + word(0) + word(0)
        bytes += word(262_144) + word(link)
        for (index, frame) in frames.enumerated() {
            bytes += word(UInt32(index)) + word(7) + word(UInt32(frame.count)) + word(UInt32(frame.count)) + frame
        }
        return bytes
    }

    var pcapng: [UInt8] {
        var bytes = word(0x0a0d_0d0a) + word(28) + word(0x1a2b_3c4d) + half(1) + half(0)
        bytes += [UInt8](repeating: 0xff, count: 8) + word(28)
        bytes += word(1) + word(20) + half(UInt16(link)) + half(0) + word(0) + word(20)
        for frame in frames {
            let padded = (frame.count + 3) & ~3
            let size = word(UInt32(32 + padded))
            bytes += word(6) + size + word(0) + word(0) + word(1000) + word(UInt32(frame.count))
            bytes += word(UInt32(frame.count)) + frame + [UInt8](repeating: 0, count: padded - frame.count) + size
        }
        return bytes
    }
}

func frame(_ length: Int, _ fill: UInt8 = 0x5a) -> [UInt8] {
    var bytes: [UInt8] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5]
    while bytes.count < length { bytes.append(fill &+ UInt8(truncatingIfNeeded: bytes.count)) }
    return Array(bytes.prefix(length))
}

/// An IPv4 UDP frame between two numbered hosts.
func udp(_ source: UInt8, _ target: UInt8, _ sourcePort: UInt16, _ targetPort: UInt16) -> [UInt8] {
    var bytes: [UInt8] = [2, 0, 0, 0, 0, target, 2, 0, 0, 0, 0, source, 8, 0]
    bytes += [0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, source, 10, 0, 0, target]
    for port in [sourcePort, targetPort] { bytes += [UInt8(port >> 8), UInt8(port & 255)] }
    return bytes + [0, 26, 0, 0] + [UInt8](repeating: 0x33, count: 18)
}

/// Plays the worker: takes frames from a receiver, as bytes, and gives the buffers back.
struct Bench: ~Copyable {
    var pool: PacketPool
    let batch = UnsafeMutablePointer<Packet>.allocate(capacity: 64)

    init(small: Int = 128, large: Int = 16) { pool = PacketPool(small: small, large: large) }
    deinit { batch.deallocate() }

    mutating func receive(_ receiver: PortReceiver, limit: Int = 32) -> [[UInt8]] {
        let count = receiver.receive(batch, limit: limit, pool: &pool)
        defer { free(count) }
        return (0..<count).map { bytes(batch[$0]) }
    }

    /// Everything until the queue says that it is finished.
    mutating func drain(_ receiver: PortReceiver) -> [[UInt8]] {
        var frames: [[UInt8]] = []
        while !receiver.isFinished { frames += receive(receiver) }
        return frames
    }

    mutating func transmit(_ frames: [[UInt8]], _ transmitter: PortTransmitter, prepare: (Packet) -> Void = { _ in }) {
        var count = 0
        for frame in frames {
            guard let packet = pool.take(frame.count) else { continue }
            frame.withUnsafeBytes { packet.pointee.data.copyMemory(from: $0.baseAddress!, byteCount: frame.count) }
            packet.pointee.timestamp = 0
            prepare(packet)
            batch[count] = packet
            count += 1
        }
        transmitter.transmit(batch, count)
        transmitter.flush()
        free(count)
    }

    mutating func free(_ count: Int) { for index in 0..<count { pool.free(batch[index]) } }

    func bytes(_ packet: Packet) -> [UInt8] {
        Array(UnsafeRawBufferPointer(start: packet.pointee.data, count: Int(packet.pointee.length)))
    }
}

func open(_ name: String = "p0", _ type: String, _ options: [String: String] = [:]) throws -> Port {
    try Port.open(name: name, type: type, options: options, log: quiet)
}

/// What no honest sender leaves to a device: segments of nothing, types that do not exist, checksums at odd places.
func hostileOffloads() -> [PacketHeader.Offload] {
    var offloads: [PacketHeader.Offload] = []
    for type in [0, 1, 3, 4, 5, 77, 0x80, 0x81, 0xff] as [UInt8] {
        for size in [0, 1, 536, 65535] as [UInt16] {
            for (start, offset, headers) in [(nil, 0, 0), (0, 0, 0), (34, 16, 54), (34, 6, 65535), (58, 0, 60)]
                as [(UInt16?, UInt16, UInt16)]
            {
                var offload = PacketHeader.Offload()
                offload.segmentationType = type
                offload.segmentSize = size
                offload.headerLength = headers
                offload.needsChecksum = start != nil
                offload.checksumStart = start ?? 0
                offload.checksumOffset = offset
                offloads.append(offload)
            }
        }
    }
    return offloads
}
