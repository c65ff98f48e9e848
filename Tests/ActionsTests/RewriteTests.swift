import Actions
import Base
import Flow
import FrameSupport
import Memory
import Testing

@Suite struct RewriteTests {
    /// Whatever is set, the frame equals one built with the new values in the first place.
    @Test func settersEqualBuildingAnew() {
        var random = SeededRandom(seed: 11)
        withPool { pool in
            for _ in 0..<4000 {
                let old = Shape(&random)
                var builder = ProgramBuilder()
                let new = old.mutated(&builder, &random)
                let result = run(builder, on: old.frame, pool: &pool)
                #expect(result.frames == [new.frame], "\(ProgramFormatter.format(builder.words) { _ in "out" })")
            }
        }
    }

    /// Completing a partial checksum after the edits gives what the edits make of a whole one.
    @Test func partialChecksumsFollowAddressesOnly() {
        var random = SeededRandom(seed: 12)
        withPool { pool in
            for _ in 0..<4000 {
                var old = Shape(&random)
                old.hasUDPChecksum = true
                var builder = ProgramBuilder()
                var new = old.mutated(&builder, &random)
                builder.pushVLAN(tpid: 0x8100, tci: 0x1005)
                new.tags.insert(Tag(5), at: 0)
                var outgoing: [UInt8] = []
                _ = run(
                    builder, on: old.frame, pool: &pool, prepare: { old.leaveChecksum(to: $0) },
                    inspect: {
                        if $0.pointee.offload.needsChecksum {
                            #expect($0.pointee.offload.checksumStart == $0.pointee.offsetL4)
                        }
                        #expect(Offload.completeChecksum($0))
                        outgoing = bytes($0)
                    })
                #expect(outgoing == new.frame)
            }
        }
    }

    @Test func truncatedFramesAreNeverWrittenOutside() {
        var random = SeededRandom(seed: 13)
        withPool { pool in
            for _ in 0..<60 {
                let old = Shape(&random)
                var builder = ProgramBuilder()
                _ = old.mutated(&builder, &random)
                for kind in 0..<editKinds {
                    appendEdit(kind, &builder, &random)
                    for length in 14...old.frame.count {
                        _ = run(
                            builder, on: Array(old.frame[..<length]), pool: &pool,
                            inspect: {
                                #expect(surroundingsAreUntouched($0, originalHeadroom: PacketPool.headroom - 16))
                            })
                    }
                }
                #expect(pool.inUse == 0)
            }
        }
    }

    @Test func randomEditsOnMutatedFrames() {
        var forge = FrameForge(seed: 14)
        withPool { pool in
            for _ in 0..<20_000 {
                let frame = forge.mutatedFrame()
                guard frame.count >= 14 else { continue }
                var builder = ProgramBuilder()
                for _ in 0..<4 { appendEdit(forge.random.below(editKinds), &builder, &forge.random) }
                _ = run(
                    builder, on: frame, pool: &pool,
                    inspect: { #expect(surroundingsAreUntouched($0, originalHeadroom: PacketPool.headroom - 16)) })
                #expect(pool.inUse == 0)
            }
        }
    }

    @Test func vlanAndMPLS() {
        let inner = ipv4(1, 2, ipProtocol: 17, udp(.v4(1, 2), 3, 4))
        let plain = ethernet(type: 0x0800, inner)
        let tagged = ethernet(tags: [Tag(0x6005, tpid: 0x88a8)], type: 0x0800, inner)
        let labelled = ethernet(tags: [Tag(7)], type: 0x8847, be32(0x0000_3140) + inner)
        withPool { pool in
            var builder = ProgramBuilder()
            builder.pushVLAN(tpid: 0x88a8, tci: 0x7005)
            #expect(run(builder, on: plain, pool: &pool).frames == [tagged])
            builder.popVLAN()
            builder.popVLAN()
            #expect(run(builder, on: plain, pool: &pool).frames == [plain])

            builder.removeAll()
            builder.pushVLAN(tpid: 0x8100, tci: 0x1007)
            builder.pushMPLS(etherType: 0x8847, entry: 0x0000_1140)
            builder.setMPLS(entry: 0x0000_3000, mask: 0xffff_f000)
            #expect(run(builder, on: plain, pool: &pool).frames == [labelled])
            builder.popMPLS(etherType: 0x0800)
            builder.setPorts(ipProtocol: 17, src: 9, srcMask: 0xffff, dst: 0, dstMask: 0)
            builder.popVLAN()
            let changed = ethernet(type: 0x0800, ipv4(1, 2, ipProtocol: 17, udp(.v4(1, 2), 9, 4)))
            #expect(run(builder, on: plain, pool: &pool).frames == [changed])

            builder.removeAll()
            builder.popMPLS(etherType: 0x0800)
            builder.popVLAN()
            #expect(run(builder, on: labelled, pool: &pool).frames == [plain])

            let stack = ethernet(type: 0x8847, be32(0x1000) + be32(0x2000) + be32(0x3140) + inner)
            let rest = ethernet(type: 0x8847, be32(0x2000) + be32(0x3140) + inner)
            builder.removeAll()
            builder.popMPLS(etherType: 0x8847)
            #expect(run(builder, on: stack, pool: &pool).frames == [rest])
        }
    }

    @Test func sctpChecksumKeepsItsError() {
        func frame(_ src: UInt16, _ dst: UInt16, damage: UInt8) -> [UInt8] {
            var message = be16(src) + be16(dst) + be32(7) + [0, 0, 0, 0] + be32(0x0102_0304) + [5]
            let crc = plainCRC(message)
            message.replaceSubrange(8..<12, with: (0..<4).map { UInt8(truncatingIfNeeded: crc >> (8 * $0)) })
            message[9] ^= damage
            return ethernet(type: 0x0800, ipv4(1, 2, ipProtocol: 132, message))
        }
        withPool { pool in
            var builder = ProgramBuilder()
            builder.setPorts(ipProtocol: 132, src: 0, srcMask: 0, dst: 443, dstMask: 0xffff)
            #expect(run(builder, on: frame(5, 6, damage: 0), pool: &pool).frames == [frame(5, 443, damage: 0)])
            #expect(run(builder, on: frame(5, 6, damage: 3), pool: &pool).frames == [frame(5, 443, damage: 3)])
        }
    }

    /// Which extension headers let an address change the transport checksum, as in Open vSwitch.
    @Test func extensionHeaders() {
        let (src, dst, other): (UInt128, UInt128, UInt128) = (1, 2, 0xffff)
        func frame(_ src: UInt128, next: UInt8, _ chain: [UInt8], checksumOf: UInt128) -> [UInt8] {
            ethernet(type: 0x86dd, ipv6(src, dst, nextHeader: next, chain + tcp(.v6(checksumOf, dst), 5, 6)))
        }
        let cases: [(UInt8, String, Bool)] = [
            (0, "0600000000000000", true), (60, "0600000000000000", true),
            (51, "060400000000010000000001111111111111111111111111", true),
            (44, "060000010000abcd", true), (44, "060000000000abcd", false), (44, "06ff000600000001", false),
            (43, "0600000000000000", true), (43, "0600000100000000", false),
        ]
        withPool { pool in
            for (next, chain, updates) in cases {
                var builder = ProgramBuilder()
                builder.setIPv6(
                    src: other, srcMask: ~0, dst: 0, dstMask: 0, label: 0, labelMask: 0, trafficClass: 0,
                    trafficClassMask: 0, hopLimit: 0, hopLimitMask: 0)
                let before = frame(src, next: next, hex(chain), checksumOf: src)
                let after = frame(other, next: next, hex(chain), checksumOf: updates ? other : src)
                #expect(run(builder, on: before, pool: &pool).frames == [after], "\(next) \(chain)")
            }
        }
    }

    @Test func shortTransportHeadersStayShortMessagesDrop() {
        let short = ethernet(type: 0x0800, ipv4(1, 2, ipProtocol: 6, [0, 1, 0, 2, 0, 0]))
        withPool { pool in
            var builder = ProgramBuilder()
            builder.setPorts(ipProtocol: 6, src: 9, srcMask: 0xffff, dst: 9, dstMask: 0xffff)
            #expect(run(builder, on: short, pool: &pool).frames == [short])
            builder.setICMP(ipProtocol: 1, type: 8, typeMask: 0xff, code: 0, codeMask: 0xff)
            let result = run(builder, on: short, pool: &pool)
            #expect(result.frames.isEmpty)
            #expect(result.drops == [.malformedRewrite])
        }
    }
}
