import Actions
import Base
import CLinux
import Pipeline

/// A program with its credits and dependencies, as the megaflows that share it hold it: raw words in a `BlockArena`.
///
///     word 0   reference count 32 | words of program 16 | credits 16
///     word 1   dependencies
///     word 2   content hash 32 | sole output port 32 (0 unless the program is just `output`)
///     word 3   drop reason 8 (0xff if none) | recirculates 1 | tracks 1 | size class 6 | address of the next block of the
///              hash chain 48
///     then     the program, then two words for each credit
public struct ActionBlock {
    @usableFromInline let words: UnsafeMutablePointer<UInt64>

    @inlinable init(_ words: UnsafeMutablePointer<UInt64>) { self.words = words }

    @inlinable static var headerWords: Int { 4 }
    @inlinable static var noReason: UInt8 { 0xff }

    @inlinable var references: UInt32 {
        get { UInt32(truncatingIfNeeded: words[0] &>> 32) }
        nonmutating set { words[0] = UInt64(newValue) &<< 32 | words[0] & 0xffff_ffff }
    }
    @inlinable public var programCount: Int { Int(UInt16(truncatingIfNeeded: words[0] &>> 16)) }
    @inlinable var creditCount: Int { Int(UInt16(truncatingIfNeeded: words[0])) }
    @inlinable var dependencies: Dependencies { Dependencies(rawValue: words[1]) }
    @inlinable var contentHash: UInt32 { UInt32(truncatingIfNeeded: words[2] &>> 32) }
    @inlinable public var soleOutput: UInt32 { UInt32(truncatingIfNeeded: words[2]) }
    @inlinable public var dropReason: UInt8 { UInt8(truncatingIfNeeded: words[3] &>> 56) }
    @inlinable var sizeClass: Int { Int(words[3] &>> 48 & 0x3f) }
    /// Whether the program sends frames back to the tables.
    public internal(set) var recirculates: Bool {
        @inline(__always) get { words[3] & 1 &<< 55 != 0 }
        nonmutating set { words[3] = newValue ? words[3] | 1 << 55 : words[3] & ~(1 << 55) }
    }
    /// Whether the program sends frames through connection tracking.
    public internal(set) var tracks: Bool {
        @inline(__always) get { words[3] & 1 &<< 54 != 0 }
        nonmutating set { words[3] = newValue ? words[3] | 1 << 54 : words[3] & ~(1 << 54) }
    }
    @inlinable public var program: UnsafeMutablePointer<UInt64> { words + Self.headerWords }

    @usableFromInline func credit(_ i: Int) -> Credit {
        let at = words + Self.headerWords + programCount + 2 * i
        return Credit(
            Credit.Kind(rawValue: UInt8(truncatingIfNeeded: at[0] >> 32)) ?? .counter,
            bridge: UInt16(truncatingIfNeeded: at[0]),
            CounterHandle(slot: UInt32(truncatingIfNeeded: at[1] >> 32), generation: UInt32(truncatingIfNeeded: at[1])))
    }

    /// Words that a block for this translation takes.
    static func wordCount(_ translation: borrowing Translation) -> Int {
        headerWords + translation.program.words.count + 2 * translation.credits.count
    }

    /// Writes everything but reference count and chain.
    func fill(_ translation: borrowing Translation, hash: UInt32, sizeClass: Int) {
        let program = translation.program.words
        words[0] =
            UInt64(UInt16(truncatingIfNeeded: program.count)) << 16
            | UInt64(UInt16(truncatingIfNeeded: translation.credits.count))
        words[1] = translation.dependencies.rawValue
        words[2] = UInt64(hash) << 32 | UInt64(Self.soleOutput(program))
        words[3] = UInt64(translation.dropReason?.rawValue ?? Self.noReason) << 56 | UInt64(sizeClass) << 48
        var at = words + Self.headerWords
        for word in program {
            at.pointee = word
            at += 1
        }
        for credit in translation.credits {
            at[0] = Self.encode(credit)
            at[1] = UInt64(credit.handle.slot) << 32 | UInt64(credit.handle.generation)
            at += 2
        }
    }

    static func encode(_ credit: Credit) -> UInt64 { UInt64(credit.kind.rawValue) << 32 | UInt64(credit.bridge) }

    private static func soleOutput(_ program: [UInt64]) -> UInt32 {
        guard program.count == 1, program[0] >> 32 == UInt64(DatapathOp.output.rawValue) << 24 else { return 0 }
        return UInt32(truncatingIfNeeded: program[0])
    }

    static func contentHash(_ translation: borrowing Translation) -> UInt32 {
        var h = weft_crc32(0x5eed, translation.dependencies.rawValue)
        h = weft_crc32(h, UInt64(translation.dropReason?.rawValue ?? noReason))
        for word in translation.program.words { h = weft_crc32(h, word) }
        for credit in translation.credits {
            h = weft_crc32(h, encode(credit))
            h = weft_crc32(h, UInt64(credit.handle.slot) << 32 | UInt64(credit.handle.generation))
        }
        return UInt32(truncatingIfNeeded: h)
    }

    /// Whether this block says exactly what `translation` says.
    func equals(_ translation: borrowing Translation) -> Bool {
        let program = translation.program.words
        guard programCount == program.count, creditCount == translation.credits.count,
            dependencies == translation.dependencies,
            dropReason == translation.dropReason?.rawValue ?? Self.noReason
        else { return false }
        var at = words + Self.headerWords
        for word in program {
            guard at.pointee == word else { return false }
            at += 1
        }
        for credit in translation.credits {
            guard at[0] == Self.encode(credit),
                at[1] == UInt64(credit.handle.slot) << 32 | UInt64(credit.handle.generation)
            else { return false }
            at += 2
        }
        return true
    }
}
