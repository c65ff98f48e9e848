import Base
import Flow
import FrameSupport
import Memory
import Testing

/// Extracts with the real thing, words beforehand filled with a pattern where the contract allows it.
private func extract(_ frame: [UInt8], vlanLimit: Int, pool: inout PacketPool) -> (KeyClass, [UInt64], Packet) {
    let buffer = packet(frame, port: 7, from: &pool)
    var words = [UInt64](repeating: 0x5a5a_5a5a_5a5a_5a5a, count: FlowKey.packetWords)
    let kind = words.withUnsafeMutableBufferPointer { storage in
        extractKey(buffer, into: storage.baseAddress!, vlanLimit: vlanLimit)
    }
    return (kind, words, buffer)
}

/// The first difference between real and reference extraction, nil if there is none.
private func difference(_ frame: [UInt8], vlanLimit: Int, pool: inout PacketPool) -> String? {
    var (kind, words, buffer) = extract(frame, vlanLimit: vlanLimit, pool: &pool)
    defer { pool.free(buffer) }
    let reference = ReferenceExtractor(frame, port: 7, vlanLimit: vlanLimit)
    if kind != .extended {
        if words[5...].contains(where: { $0 != 0x5a5a_5a5a_5a5a_5a5a }) { return "words written although \(kind)" }
        for i in 5..<words.count { words[i] = 0 }
    } else if !words[5...].contains(where: { $0 != 0 }) {
        return "extended, but all zero"
    }
    if (kind == .tooShort) != (frame.count < 14) { return "class \(kind) of \(frame.count) bytes" }
    for i in 0..<words.count where words[i] != reference.key.words[i] {
        return "word \(i): \(String(words[i], radix: 16)), expected \(String(reference.key.words[i], radix: 16))"
    }
    func offset(_ value: UInt16) -> Int? { value == PacketHeader.unknownOffset ? nil : Int(value) }
    let header = buffer.pointee
    if offset(header.offsetMPLS) != reference.offsetMPLS { return "offsetMPLS \(header.offsetMPLS)" }
    if offset(header.offsetL3) != reference.offsetL3 { return "offsetL3 \(header.offsetL3)" }
    if offset(header.offsetL4) != reference.offsetL4 { return "offsetL4 \(header.offsetL4)" }
    if Int(header.padL2) != reference.padL2 { return "padL2 \(header.padL2), expected \(reference.padL2)" }
    return nil
}

@Suite struct ExtractorTests {
    @Test func agreesWithTheReferenceOnMutatedFrames() {
        #if DEBUG
            let count = 60_000
        #else
            let count = 3_000_000
        #endif
        var forge = FrameForge(seed: 1)
        withPool { pool in
            for i in 0..<count {
                let frame = forge.mutatedFrame()
                let limit = [1, 2, 0][i % 3]
                if let problem = difference(frame, vlanLimit: limit, pool: &pool) {
                    Issue.record("frame \(i), vlan-limit \(limit): \(problem)\n\(hex(frame))")
                    return
                }
            }
        }
    }

    @Test func agreesAtEveryTruncation() {
        var forge = FrameForge(seed: 2)
        withPool { pool in
            for _ in 0..<300 {
                let frame = forge.frame()
                for length in 0...frame.count {
                    for limit in [1, 2] {
                        let cut = Array(frame[..<length])
                        if let problem = difference(cut, vlanLimit: limit, pool: &pool) {
                            Issue.record("\(length) bytes, vlan-limit \(limit): \(problem)\n\(hex(frame))")
                            return
                        }
                    }
                }
            }
        }
    }

    @Test func agreesOnFramesOfUpTo64KiB() {
        withPool { pool in
            for length in [65_535, 65_536, 65_549] {
                for total in [60, 65_000, 65_535] {
                    let packet = ipv4(1, 2, ipProtocol: 17, totalLength: total, be16(3) + be16(4) + be32(0))
                    var frame = ethernet(type: 0x0800, packet)
                    frame += [UInt8](repeating: 0, count: length - frame.count)
                    #expect(difference(frame, vlanLimit: 1, pool: &pool) == nil)
                }
                // A label stack without a bottom, to the end of the frame.
                var frame = ethernet(type: 0x8847, [])
                frame += [UInt8](repeating: 0, count: length - frame.count)
                let (kind, _, buffer) = extract(frame, vlanLimit: 1, pool: &pool)
                #expect(kind == .core)
                pool.free(buffer)
            }
        }
    }

    @Test func commonFrame() {
        let segment = tcp(.v4(0x0a00_0001, 0x0a00_0002), 4660, 80, flags: 0x12)
        let frame = ethernet(
            dst: 0x0102_0304_0506, src: 0x1112_1314_1516, tags: [Tag(0x6005)], type: 0x0800,
            ipv4(0x0a00_0001, 0x0a00_0002, ipProtocol: 6, tos: 0xb9, ttl: 3, segment) + [0, 0, 0])
        withPool { pool in
            let (kind, words, buffer) = extract(frame, vlanLimit: 1, pool: &pool)
            #expect(kind == .core)
            #expect(words[0] == 7 << 32 | 0x0800 << 16 | 0x7005)
            #expect(words[1] == 0x0102_0304_0506_0012)
            #expect(words[2] == 0x1112_1314_1516_b903)
            #expect(words[3] == 0x0a00_0001_0a00_0002)
            #expect(words[4] == 6 << 56 | 4660 << 32 | 80 << 16 | 0x8100)
            #expect(buffer.pointee.offsetL3 == 18)
            #expect(buffer.pointee.offsetL4 == 38)
            #expect(buffer.pointee.padL2 == 3)
        }
    }
}
