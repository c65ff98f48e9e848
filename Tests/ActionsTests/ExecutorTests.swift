import Actions
import Base
import FrameSupport
import Memory
import Testing

@Suite struct ExecutorTests {
    private let frame = ethernet(
        type: 0x0800, ipv4(1, 2, ipProtocol: 17, udp(.v4(1, 2), 3, 4, payload: [UInt8](0..<40))))

    private func runs(_ body: (inout ProgramBuilder) -> Void, _ check: (RunResult) -> Void) {
        withPool { pool in
            var builder = ProgramBuilder()
            body(&builder)
            let result = run(builder, on: frame, pool: &pool, addsOutput: false)
            check(result)
            #expect(pool.inUse == 0)
        }
    }

    @Test func singleOutputMovesTheFrame() {
        runs(
            { $0.output(PortIndex(5)) },
            { result in
                #expect(result.outcome == Executor.Outcome(sent: 1, lost: 0))
                #expect(result.sent.map(\.port) == [5])
                #expect(result.frames == [frame])
                #expect(result.drops.isEmpty)
            })
    }

    @Test func outputsSeeTheFrameAsItStands() {
        runs(
            {
                $0.output(PortIndex(1))
                $0.setEthernet(dst: 9, dstMask: 0xffff_ffff_ffff, src: 0, srcMask: 0)
                $0.output(PortIndex(2))
                $0.output(PortIndex(1))
            },
            { result in
                let changed = be48(9) + frame[6...]
                #expect(result.sent.map(\.port) == [1, 1, 2])
                #expect(result.frames == [frame, changed, changed])
            })
    }

    @Test func emptyProgramAndDrops() {
        runs({ _ in }, { #expect($0.drops == [.noOutput]) })
        runs({ $0.drop(.tableMiss) }, { #expect($0.drops == [.tableMiss]) })
        runs({ $0.controller(reason: 1) }, { #expect($0.drops == [.controllerAction]) })
        runs({ $0.output(PortIndex(999_999)) }, { #expect($0.drops == [.unknownPort]) })
        runs({ $0.popVLAN() }, { #expect($0.drops == [.noOutput]) })
        // Sent somewhere: not dropped.
        runs(
            {
                $0.output(PortIndex(1))
                $0.drop(.ruleDrop)
            },
            {
                #expect($0.outcome.sent == 1)
                #expect($0.drops.isEmpty)
            })
    }

    @Test func cloneLeavesTheOriginalAlone() {
        runs(
            {
                let clone = $0.beginClone()
                $0.setEthernet(dst: 9, dstMask: 0xffff_ffff_ffff, src: 0, srcMask: 0)
                $0.output(PortIndex(2))
                $0.drop(.ruleDrop)
                $0.endClone(clone)
                $0.output(PortIndex(1))
                let last = $0.beginClone()
                let inner = $0.beginClone()
                $0.pushVLAN(tpid: 0x8100, tci: 0x1001)
                $0.output(PortIndex(3))
                $0.endClone(inner)
                $0.output(PortIndex(3))
                $0.endClone(last)
            },
            { result in
                let tagged = Array(frame[..<12] + [0x81, 0, 0, 1] + frame[12...])
                #expect(result.sent.map(\.port) == [2, 1, 3, 3])
                #expect(result.frames == [be48(9) + frame[6...], frame, tagged, frame])
            })
    }

    @Test func truncateHoldsForOneOutput() {
        runs(
            {
                $0.truncateNextOutput(to: 20)
                $0.output(PortIndex(1))
                $0.output(PortIndex(2))
                $0.truncateNextOutput(to: 5)
                $0.output(PortIndex(3))
            },
            { result in
                #expect(result.frames == [Array(frame[..<20]), frame, Array(frame[..<14])])
            })
    }

    @Test func checkLengthPicksABody() {
        for (threshold, isLarger) in [(frame.count - 1, true), (frame.count, false)] {
            for isLast in [true, false] {
                runs(
                    {
                        let check = $0.beginCheckLength(threshold: UInt32(threshold))
                        $0.pushVLAN(tpid: 0x8100, tci: 0x1001)
                        $0.output(PortIndex(1))
                        $0.otherwiseCheckLength(check)
                        $0.output(PortIndex(2))
                        $0.endCheckLength(check)
                        if !isLast { $0.output(PortIndex(3)) }
                    },
                    { result in
                        let chosen: UInt32 = isLarger ? 1 : 2
                        #expect(result.sent.map(\.port) == (isLast ? [chosen] : [chosen, 3]))
                        if !isLast { #expect(result.frames.last == frame) }
                    })
            }
        }
    }

    @Test func paddingDoesNotCountForCheckLength() {
        withPool { pool in
            let short = ethernet(type: 0x0800, ipv4(1, 2, ipProtocol: 17, udp(.v4(1, 2), 3, 4)))
            var builder = ProgramBuilder()
            let check = builder.beginCheckLength(threshold: UInt32(short.count))
            builder.output(PortIndex(1))
            builder.otherwiseCheckLength(check)
            builder.output(PortIndex(2))
            builder.endCheckLength(check)
            let result = run(builder, on: short + [0, 0, 0, 0], pool: &pool, addsOutput: false)
            #expect(result.sent.map(\.port) == [2])
        }
    }

    @Test func metadata() {
        withPool { pool in
            var builder = ProgramBuilder()
            builder.setQueue(7)
            builder.setMark(0xff00, mask: 0xff00)
            builder.setMark(0x0012, mask: 0x00ff)
            builder.output(PortIndex(1))
            builder.popQueue()
            builder.output(PortIndex(1))
            var seen: [[UInt32]] = []
            _ = run(
                builder, on: frame, pool: &pool, addsOutput: false,
                inspect: { seen.append([$0.pointee.queue, $0.pointee.mark]) })
            #expect(seen == [[7, 0xff12], [0, 0xff12]])
        }
    }

    @Test func symmetricHashIsSymmetric() {
        withPool { pool in
            var builder = ProgramBuilder()
            builder.hash(basis: 3, symmetric: true)
            let back = ethernet(type: 0x0800, ipv4(2, 1, ipProtocol: 17, udp(.v4(2, 1), 4, 3, payload: [1])))
            var seen: [UInt32] = []
            for frame in [frame, back] {
                _ = run(builder, on: frame, pool: &pool, inspect: { seen.append($0.pointee.hash) })
            }
            #expect(seen[0] == seen[1])
        }
    }

    @Test func withoutBuffersTheLastOutputStillGoes() {
        withPool(small: 1, large: 0) { pool in
            var builder = ProgramBuilder()
            builder.output(PortIndex(1))
            builder.output(PortIndex(2))
            let result = run(builder, on: frame, pool: &pool, addsOutput: false)
            #expect(result.outcome == Executor.Outcome(sent: 1, lost: 1))
            #expect(result.sent.map(\.port) == [2])
            #expect(result.drops.isEmpty)
        }
    }
}
