import Actions
import Base
import Flow
import FrameSupport
import Memory
import Testing

@Suite struct OffloadTests {
    private func segments(
        _ frame: [UInt8], type: UInt8, size: UInt16, pool: inout PacketPool, capacity: Int = 64
    ) -> (Offload.Segments, [[UInt8]]) {
        let large = packet(frame, from: &pool)
        var key = FlowKey()
        withUnsafeMutableBytes(of: &key) { bytes in
            _ = extractKey(large, into: bytes.baseAddress!.assumingMemoryBound(to: UInt64.self), vlanLimit: 2)
        }
        large.pointee.offload.segmentationType = type
        large.pointee.offload.segmentSize = size
        large.pointee.offload.needsChecksum = true
        large.pointee.offload.checksumStart = large.pointee.offsetL4
        large.pointee.offload.checksumOffset = type == 5 ? 6 : 16
        var made: [[UInt8]] = []
        let result = withUnsafeTemporaryAllocation(of: Packet.self, capacity: capacity) { frames in
            let result = Offload.segment(large, pool: &pool, into: frames.baseAddress!, capacity: capacity)
            if case .made(let count) = result {
                for i in 0..<count {
                    made.append(bytes(frames[i]))
                    pool.free(frames[i])
                }
            }
            return result
        }
        pool.free(large)
        return (result, made)
    }

    private let payload = (0..<3500).map { UInt8(truncatingIfNeeded: $0 &* 7) }

    /// A TCP segment with a given sequence number.
    private func segment(_ addresses: Addresses, _ sequence: UInt32, _ flags: UInt16, _ payload: [UInt8]) -> [UInt8] {
        var message = tcp(addresses, 5, 6, flags: flags, options: [1, 1, 1, 1], payload: payload)
        message.replaceSubrange(4..<8, with: be32(sequence))
        message.replaceSubrange(16..<18, with: [0, 0])
        let pseudo = addresses.pseudoHeader + be32(UInt32(message.count)) + be32(6)
        message.replaceSubrange(16..<18, with: be16(checksum(pseudo + message)))
        return message
    }

    @Test func tcp4() {
        withPool { pool in
            func frame(_ id: UInt16, _ message: [UInt8]) -> [UInt8] {
                var packet = ipv4(1, 2, ipProtocol: 6, message)
                packet.replaceSubrange(4..<6, with: be16(id))
                packet.replaceSubrange(10..<12, with: [0, 0])
                packet.replaceSubrange(10..<12, with: be16(checksum(Array(packet[..<20]))))
                return ethernet(tags: [Tag(9)], type: 0x0800, packet)
            }
            let addresses = Addresses.v4(1, 2)
            let large = frame(0xffff, segment(addresses, 0xffff_ff00, 0x99, payload))
            let (result, made) = segments(large, type: 1, size: 1400, pool: &pool)
            #expect(result == .made(3))
            let expected = [
                frame(0xffff, segment(addresses, 0xffff_ff00, 0x90, Array(payload[..<1400]))),
                frame(0, segment(addresses, 0xffff_ff00 &+ 1400, 0x10, Array(payload[1400..<2800]))),
                frame(1, segment(addresses, 0xffff_ff00 &+ 2800, 0x19, Array(payload[2800...]))),
            ]
            #expect(made == expected)
            #expect(pool.inUse == 0)
        }
    }

    @Test func tcp6AndUDP() {
        withPool { pool in
            let addresses = Addresses.v6(1, 2)
            func frame(_ message: [UInt8], _ next: UInt8) -> [UInt8] {
                ethernet(type: 0x86dd, ipv6(1, 2, nextHeader: next, message))
            }
            let large = frame(segment(addresses, 7, 0x18, payload), 6)
            let (result, made) = segments(large, type: 4, size: 2000, pool: &pool)
            #expect(result == .made(2))
            #expect(made[0] == frame(segment(addresses, 7, 0x10, Array(payload[..<2000])), 6))
            #expect(made[1] == frame(segment(addresses, 2007, 0x18, Array(payload[2000...])), 6))

            let datagrams = frame(udp(addresses, 3, 4, payload: payload), 17)
            let (split, parts) = segments(datagrams, type: 5, size: 1750, pool: &pool)
            #expect(split == .made(2))
            #expect(parts[0] == frame(udp(addresses, 3, 4, payload: Array(payload[..<1750])), 17))
            #expect(parts[1] == frame(udp(addresses, 3, 4, payload: Array(payload[1750...])), 17))
        }
    }

    @Test func refusals() {
        withPool(small: 3, large: 1) { pool in
            let frame = ethernet(type: 0x0800, ipv4(1, 2, ipProtocol: 6, tcp(.v4(1, 2), 5, 6, payload: payload)))
            #expect(segments(frame, type: 1, size: 100, pool: &pool, capacity: 8).0 == .refused(.frameTooLong))
            #expect(segments(frame, type: 1, size: 600, pool: &pool).0 == .refused(.noBuffer))
            #expect(segments(frame, type: 1, size: 0, pool: &pool).0 == .refused(.checksumOffloadImpossible))
            #expect(segments(frame, type: 4, size: 1400, pool: &pool).0 == .refused(.checksumOffloadImpossible))
            #expect(segments(frame, type: 3, size: 1400, pool: &pool).0 == .refused(.checksumOffloadImpossible))
            #expect(pool.inUse == 0)
        }
    }

    /// Offloads that lie never make anything be read or written outside the frame.
    @Test func lyingOffloads() {
        var forge = FrameForge(seed: 21)
        withPool(small: 200, large: 4) { pool in
            for _ in 0..<20_000 {
                let frame = forge.mutatedFrame()
                guard !frame.isEmpty else { continue }
                let large = packet(frame, from: &pool)
                large.pointee.offsetL3 = UInt16(forge.random.below(frame.count + 20))
                large.pointee.offsetL4 = forge.random.bits16()
                large.pointee.padL2 = UInt16(forge.random.below(frame.count + 1))
                large.pointee.offload.needsChecksum = true
                large.pointee.offload.checksumStart = UInt16(forge.random.below(frame.count + 20))
                large.pointee.offload.checksumOffset = forge.random.pick([6, 8, 16, forge.random.bits16()])
                large.pointee.offload.segmentationType = forge.random.pick([1, 4, 5])
                large.pointee.offload.segmentSize = UInt16(forge.random.below(40))
                withUnsafeTemporaryAllocation(of: Packet.self, capacity: 64) { frames in
                    let result = Offload.segment(large, pool: &pool, into: frames.baseAddress!, capacity: 64)
                    if case .made(let count) = result { for i in 0..<count { pool.free(frames[i]) } }
                }
                _ = Offload.completeChecksum(large)
                #expect(surroundingsAreUntouched(large))
                pool.free(large)
            }
            #expect(pool.inUse == 0)
        }
    }
}
