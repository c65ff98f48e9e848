import Actions
import CLinux
import Pipeline

/// All action blocks of one cache: interned by content, reference counted by the megaflows and paths of sessions that hold them.
///
/// Blocks come from free lists by size (16, 32, 64 ... words), carved out of chunks that are kept until the store goes. A
/// block that nobody holds any more is freed only at the end of the burst, since packets of the burst may still
/// have to run it.
struct BlockStore: ~Copyable {
    private static let smallestWords = 16
    private static let classes = 13
    private static let chunkWords = 1 << 16

    /// Heads of the free lists; a free block's first word is the address of the next.
    private var freeLists: [UnsafeMutablePointer<UInt64>?]
    private var chunks: [UnsafeMutablePointer<UInt64>] = []
    private var chunkAt = BlockStore.chunkWords
    /// Hash chains; the link lies in the low 48 bits of word 3.
    private let buckets: UnsafeMutablePointer<UnsafeMutablePointer<UInt64>?>
    private let bucketMask: Int
    private var dead: [UnsafeMutablePointer<UInt64>] = []
    /// Live blocks.
    private(set) var count = 0

    /// States that programs send frames back to: kept while a block names them.
    private let frozen: FrozenStates

    init(frozen: FrozenStates = FrozenStates(), bucketCount: Int = 65536) {
        self.frozen = frozen
        freeLists = Array(repeating: nil, count: Self.classes)
        buckets = .allocate(capacity: bucketCount)
        buckets.initialize(repeating: nil, count: bucketCount)
        bucketMask = bucketCount - 1
        dead.reserveCapacity(256)
    }

    deinit {
        for chunk in chunks { free(chunk) }
        buckets.deallocate()
    }

    /// The block for this translation, its count raised by one; nil only if it is larger than any block may be.
    mutating func intern(_ translation: borrowing Translation) -> ActionBlock? {
        let hash = ActionBlock.contentHash(translation)
        let bucket = Int(hash) & bucketMask
        var candidate = buckets[bucket]
        while let words = candidate {
            let block = ActionBlock(words)
            if block.contentHash == hash, block.equals(translation) {
                block.references += 1
                return block
            }
            candidate = Self.next(words)
        }
        guard let block = make(translation, hash: hash) else { return nil }
        block.references = 1
        Self.setNext(block.words, buckets[bucket])
        buckets[bucket] = block.words
        count += 1
        return block
    }

    /// A block for one packet only, freed at the end of the burst.
    mutating func transient(_ translation: borrowing Translation) -> ActionBlock? {
        guard let block = make(translation, hash: 0) else { return nil }
        dead.append(block.words)
        return block
    }

    /// Takes one more reference.
    func retain(_ block: ActionBlock) { block.references += 1 }

    /// Gives one reference back.
    mutating func release(_ block: ActionBlock) {
        block.references -= 1
        guard block.references == 0 else { return }
        unlink(block)
        count -= 1
        dead.append(block.words)
    }

    /// Frees what died during the burst. No packet may refer to a released block any more.
    mutating func endBurst() {
        for words in dead {
            let block = ActionBlock(words)
            if block.recirculates {
                ProgramStep.forEachRecirculation(block.program, count: block.programCount) { frozen.release($0) }
            }
            recycle(words, block.sizeClass)
        }
        dead.removeAll(keepingCapacity: true)
    }

    var hasDead: Bool { !dead.isEmpty }

    private static func next(_ words: UnsafeMutablePointer<UInt64>) -> UnsafeMutablePointer<UInt64>? {
        UnsafeMutablePointer(bitPattern: UInt(words[3] & 0xffff_ffff_ffff))
    }

    private static func setNext(_ words: UnsafeMutablePointer<UInt64>, _ next: UnsafeMutablePointer<UInt64>?) {
        words[3] = words[3] & ~0xffff_ffff_ffff | UInt64(UInt(bitPattern: next))
    }

    private mutating func unlink(_ block: ActionBlock) {
        let bucket = Int(block.contentHash) & bucketMask
        if buckets[bucket] == block.words {
            buckets[bucket] = Self.next(block.words)
            return
        }
        var at = buckets[bucket]
        while let words = at {
            let next = Self.next(words)
            if next == block.words {
                Self.setNext(words, Self.next(block.words))
                return
            }
            at = next
        }
    }

    private mutating func make(_ translation: borrowing Translation, hash: UInt32) -> ActionBlock? {
        let needed = ActionBlock.wordCount(translation)
        guard translation.program.words.count <= 0xffff, translation.credits.count <= 0xffff else { return nil }
        var sizeClass = 0
        while Self.smallestWords << sizeClass < needed { sizeClass += 1 }
        guard sizeClass < Self.classes, let words = allocate(sizeClass) else { return nil }
        let block = ActionBlock(words)
        block.fill(translation, hash: hash, sizeClass: sizeClass)
        ProgramStep.forEachRecirculation(block.program, count: block.programCount) {
            block.recirculates = true
            frozen.retain($0)
        }
        block.tracks = ProgramStep.firstTrack(block.program, count: block.programCount) != nil
        return block
    }

    private mutating func allocate(_ sizeClass: Int) -> UnsafeMutablePointer<UInt64>? {
        if let words = freeLists[sizeClass] {
            freeLists[sizeClass] = UnsafeMutablePointer(bitPattern: UInt(words[0]))
            return words
        }
        let size = Self.smallestWords << sizeClass
        if chunkAt + size > Self.chunkWords {
            guard let chunk = weft_allocate_lines(Self.chunkWords * 8) else { return nil }
            chunks.append(chunk.assumingMemoryBound(to: UInt64.self))
            chunkAt = 0
        }
        guard let chunk = chunks.last else { return nil }
        let words = chunk + chunkAt
        chunkAt += size
        return words
    }

    private mutating func recycle(_ words: UnsafeMutablePointer<UInt64>, _ sizeClass: Int) {
        words[0] = UInt64(UInt(bitPattern: freeLists[sizeClass]))
        freeLists[sizeClass] = words
    }
}
