import Base
import Flow
import Pipeline

// What happens beside the packets: paying credits, expiry, ranking, flushing, inspection. Each call does a bounded piece,
// on the worker's own thread, between bursts.

extension FlowCache {
    func pay(_ credit: Credit, packets: UInt64, bytes: UInt64, used: UInt64, _ stations: (Credit, UInt64) -> Void) {
        switch credit.kind {
        case .counter: counters.add(credit.handle, packets: packets, bytes: bytes, now: used)
        case .ruleLearned: counters.touch(credit.handle, now: used)
        case .stationSeen: stations(credit, used)
        }
    }

    /// Credits what a megaflow has counted since it was last settled. `stations` is told of learned addresses
    /// that were in use, with the time in milliseconds.
    func settle(_ flow: UInt32, _ stations: (Credit, UInt64) -> Void) {
        let record = records + Int(flow)
        let account = accounts + Int(flow)
        let packets = record.pointee.packets &- account.pointee.creditedPackets
        guard record.pointee.serial != 0, packets > 0, let words = record.pointee.block else { return }
        let bytes = record.pointee.bytes &- account.pointee.creditedBytes
        account.pointee.creditedPackets = record.pointee.packets
        account.pointee.creditedBytes = record.pointee.bytes
        let block = ActionBlock(words)
        for i in 0..<block.creditCount {
            pay(block.credit(i), packets: packets, bytes: bytes, used: record.pointee.used, stations)
        }
    }

    /// Settles the megaflows `range` of the table; how many numbers there are is `settleEnd`.
    public func settle(_ range: Range<Int>, _ stations: (Credit, UInt64) -> Void) {
        for flow in range.clamped(to: 0..<Int(recordTop)) { settle(UInt32(flow), stations) }
    }

    public var settleEnd: Int { Int(recordTop) }

    /// Settles up to `count` megaflows where the last sweep ended, and deletes those idle for too long.
    public mutating func sweep(_ count: Int, now: UInt64, _ stations: (Credit, UInt64) -> Void) {
        guard recordTop > 0 else { return }
        for _ in 0..<min(count, Int(recordTop)) {
            if sweepAt >= recordTop { sweepAt = 0 }
            let flow = sweepAt
            sweepAt += 1
            guard records[Int(flow)].serial != 0 else { continue }
            if records[Int(flow)].used &+ maximumIdle <= now, accounts[Int(flow)].paths == 0 {
                statistics.expired &+= 1
                delete(flow, stations)
            } else {
                settle(flow, stations)
            }
        }
    }

    /// Puts the tuples in order of their hits since the last time, gives up those that have become empty, and memory of those
    /// that hold few megaflows by now.
    public mutating func rank() {
        var live = 0
        for rank in 0..<tupleCount {
            let number = probes[rank].number
            if tuples[Int(number)].count == 0 {
                tuples[Int(number)].deallocate()
                freeTuples.append(number)
            } else {
                probes[live] = probes[rank]
                live += 1
            }
        }
        if live != tupleCount {
            tupleCount = live
            stemCount = 0
            for rank in 0..<live {
                let number = Int(probes[rank].number)
                tuples[number].stem = stem(of: number)
                probes[rank].stem = tuples[number].stem
            }
        }
        let records = records
        for rank in 0..<live {
            let number = probes[rank].number
            let tuple = tuples + Int(number)
            if tuple.pointee.shrink({ flow, slot in records[Int(flow)].slot = slot }) {
                probes[rank] = TupleProbe(tuple.pointee, number: number)
                // One at a time: packets wait meanwhile.
                break
            }
        }
        var order = UnsafeMutableBufferPointer(start: probes, count: live)
        let tuples = tuples
        order.sort { tuples[Int($0.number)].hits > tuples[Int($1.number)].hits }
        for probe in order { tuples[Int(probe.number)].hits >>= 1 }
    }

    /// Deletes everything (`dp/flush`).
    public mutating func flush(_ stations: (Credit, UInt64) -> Void) {
        for flow in 0..<recordTop where records[Int(flow)].serial != 0 { delete(flow, stations) }
        rank()
        clearFrontCaches()
    }

    /// The megaflows `range` of the table, for `dp/dump-flows`.
    public func describe(_ range: Range<Int>) -> [MegaflowDescription] {
        var result: [MegaflowDescription] = []
        for number in range.clamped(to: 0..<Int(recordTop)) {
            let record = records[number]
            guard record.serial != 0, let words = record.block else { continue }
            let block = ActionBlock(words)
            let tuple = tuples[Int(record.tuple)]
            result.append(
                MegaflowDescription(
                    key: tuple.key(record.slot), mask: tuple.mask(),
                    program: Array(UnsafeBufferPointer(start: block.program, count: block.programCount)),
                    dropReason: DropReason(rawValue: block.dropReason), packets: record.packets, bytes: record.bytes,
                    used: record.packets == 0 ? 0 : record.used, created: accounts[number].created,
                    isCurrent: record.generation == generation))
        }
        return result
    }
}
