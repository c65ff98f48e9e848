import Actions
import Memory

/// Masks of all lookups of a trace, as far as they concern the frame as received.
struct SessionMasks {
    var word0: UInt64 = 0
    var word1: UInt64 = 0
    var word2: UInt64 = 0
    var word5: UInt64 = 0
    /// Of words 10 to 16, which no session has.
    var readsFurtherWords = false
    /// Of what a frame has beside its bytes.
    var isUnfit = false

    mutating func makeExact() {
        (word0, word1, word2, word5) = (~0, ~0, ~0, ~0)
        readsFurtherWords = true
    }

    mutating func add(_ word: Int, _ mask: UInt64) {
        switch word {
        case 0: word0 |= mask
        case 1: word1 |= mask
        case 2: word2 |= mask
        case 3, 4, 6...9: break
        case 5: word5 |= mask
        case 10...16: readsFurtherWords = true
        // Mark, number of the frozen state, what tracking found out: zero in frames as received, and functions of key and guards
        // once they have come back.
        case 17...27: break
        default: isUnfit = true
        }
    }
}

extension FlowCache {
    /// False if the megaflow is another by now.
    borrowing func addMask(of stage: PacketTrace.Stage, to masks: inout SessionMasks) -> Bool {
        let record = records + Int(stage.flow)
        guard record.pointee.serial == stage.serial else { return false }
        let tuple = tuples + Int(record.pointee.tuple)
        masks.add(0, tuple.pointee.core.0)
        masks.add(1, tuple.pointee.core.1)
        masks.add(2, tuple.pointee.core.2)
        for i in 0..<tuple.pointee.furtherCount {
            masks.add(Int(tuple.pointee.further[2 * i]), tuple.pointee.further[2 * i + 1])
        }
        return true
    }

    /// The megaflow that serves packet `i`, if it is one that stays.
    public mutating func stage(of i: Int) -> PacketTrace.Stage? {
        let key = UnsafePointer(burst.key(i))
        let probed = statistics.tupleProbes
        let found = findMegaflow(key)
        statistics.tupleProbes = probed
        // Another one may match too, of another mask and an earlier configuration: it must be known to hold.
        guard found != UInt32.max, records[Int(found)].block == burst.blocks[i],
            records[Int(found)].generation == generation
        else { return nil }
        var stage = PacketTrace.Stage()
        stage.flow = found
        stage.serial = records[Int(found)].serial
        stage.length = burst.packets[i].pointee.length
        return stage
    }

    /// A path goes through the megaflow, and names its block.
    mutating func retain(_ stage: SessionPath.Stage) {
        // By way of a local: the thread sanitizer's build cannot follow a write through a constant of an owned value.
        let account = accounts + Int(stage.flow)
        account.pointee.paths += 1
        if let block = stage.block { blocks.retain(ActionBlock(block)) }
    }

    mutating func release(_ stage: SessionPath.Stage) {
        let account = accounts + Int(stage.flow)
        if records[Int(stage.flow)].serial == stage.serial { account.pointee.paths -= 1 }
        if let block = stage.block { blocks.release(ActionBlock(block)) }
    }
}
