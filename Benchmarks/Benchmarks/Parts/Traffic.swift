import Base
import Flow
import Memory

/// UDP frames over IPv4, 60 bytes, of as many flows as asked for: what Benchmarks/peers/traffic.py writes, in memory.
enum Traffic {
    static func frame(_ flow: Int) -> [UInt8] {
        var random = SplitMix(state: UInt64(flow))
        let addresses = random.next()
        let source = 0x0a00_0000 | UInt32(truncatingIfNeeded: addresses) & 0x3f_ffff
        let destination = 0x0a40_0000 | UInt32(truncatingIfNeeded: addresses &>> 32) & 0x3f_ffff
        let port = UInt16(truncatingIfNeeded: random.next()) | 0x400
        var frame: [UInt8] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 17, 0, 0]
        for value in [source, destination] {
            frame += (0..<4).map { UInt8(truncatingIfNeeded: value &>> (24 - 8 * $0)) }
        }
        frame += [UInt8(port >> 8), UInt8(truncatingIfNeeded: port), 0, 53, 0, 26, 0, 0]
        return frame + [UInt8](repeating: 0, count: 60 - frame.count)
    }

    /// Packets that stay in the pool's buffers for the whole run.
    static func packets(_ count: Int, from pool: inout PacketPool) -> [Packet] {
        (0..<count).compactMap { flow in
            guard let packet = pool.take(60) else { return nil }
            packet.pointee.inPort = PortIndex(1)
            frame(flow).withUnsafeBytes { packet.pointee.data.copyMemory(from: $0.baseAddress!, byteCount: 60) }
            return packet
        }
    }

    /// The same shape as the rules of `acl.flows`: prefixes of both addresses, some with a port.
    static func rules(_ count: Int) -> [String] {
        var random = SplitMix(state: 5)
        return (0..<count).map { n in
            let bits = random.next()
            let lengths = (
                [8, 12, 14, 16, 18, 20, 22, 24, 26, 28][Int(bits % 10)],
                [8, 10, 12, 14, 16, 20, 24][Int(bits >> 8 % 7)]
            )
            let port = ["", ",tp_dst=80", ",tp_dst=443", ",tp_dst=53"][Int(bits >> 16 & 3)]
            let source = UInt32(truncatingIfNeeded: bits >> 20) & 0x3f_ffff | 0x0a00_0000
            let destination = UInt32(truncatingIfNeeded: bits >> 42) & 0x3f_ffff | 0x0a40_0000
            return
                "priority=\(n % 990 + 10),udp,nw_src=\(dotted(source))/\(lengths.1),nw_dst=\(dotted(destination))/\(lengths.0)\(port),actions=resubmit(,2)"
        }
    }

    private static func dotted(_ address: UInt32) -> String {
        (0..<4).map { String(address >> UInt32(24 - 8 * $0) & 255) }.joined(separator: ".")
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers on every run.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z &>> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z &>> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z &>> 31)
    }
}
