import Base

/// A run of bytes of a line that is being read: two offsets into memory that the caller of the parser holds.
///
/// Offsets count from the start of the line, so the offset of anything is its column, and a sub-range of a text knows
/// where it stood. Nothing is copied and no `String` is made except for names and error messages.
struct Text {
    let base: UnsafePointer<UInt8>?
    var start: Int
    var end: Int

    init(_ bytes: UnsafeBufferPointer<UInt8>) {
        base = bytes.baseAddress
        start = 0
        end = bytes.count
    }

    private init(_ base: UnsafePointer<UInt8>?, _ start: Int, _ end: Int) {
        self.base = base
        self.start = start
        self.end = max(start, end)
    }

    var count: Int { end - start }
    var isEmpty: Bool { end <= start }
    /// 1-based.
    var column: Int { start + 1 }

    /// The byte at `index` from the start of this text; 0 behind the end.
    subscript(_ index: Int) -> UInt8 {
        @inline(__always) get {
            let at = start &+ index
            guard at < end, let base else { return 0 }
            return base[at]
        }
    }

    func slice(_ from: Int, _ to: Int) -> Text { Text(base, min(start + from, end), min(start + to, end)) }
    func dropFirst(_ n: Int) -> Text { slice(n, count) }
    func prefix(_ n: Int) -> Text { slice(0, n) }
    /// The empty text at the end of this one.
    var tail: Text { Text(base, end, end) }

    var string: String {
        guard let base, !isEmpty else { return "" }
        return String(decoding: UnsafeBufferPointer(start: base + start, count: count), as: UTF8.self)
    }

    /// For messages: what the user wrote, made harmless.
    var echoed: String { string.echoed }
    var quoted: String { "\"\(echoed)\"" }

    func equals(_ word: StaticString) -> Bool {
        guard count == word.utf8CodeUnitCount else { return false }
        for i in 0..<count where self[i] != word.utf8Start[i] { return false }
        return true
    }

    /// Without regard to the case of ASCII letters.
    func equalsFolded(_ word: StaticString) -> Bool {
        guard count == word.utf8CodeUnitCount else { return false }
        for i in 0..<count where ASCII.lower(self[i]) != ASCII.lower(word.utf8Start[i]) { return false }
        return true
    }

    func hasPrefix(_ word: StaticString) -> Bool {
        count >= word.utf8CodeUnitCount && prefix(word.utf8CodeUnitCount).equals(word)
    }

    func firstIndex(of byte: UInt8) -> Int? {
        var i = 0
        while i < count {
            if self[i] == byte { return i }
            i += 1
        }
        return nil
    }

    func firstIndex(of word: StaticString) -> Int? {
        var i = 0
        while i + word.utf8CodeUnitCount <= count {
            if slice(i, i + word.utf8CodeUnitCount).equals(word) { return i }
            i += 1
        }
        return nil
    }

    func trimmed() -> Text {
        var result = self
        while !result.isEmpty, ASCII.isSpace(result[0]) { result.start += 1 }
        while !result.isEmpty, ASCII.isSpace(result[result.count - 1]) { result.end -= 1 }
        return result
    }
}

enum ASCII {
    @inline(__always) static func isSpace(_ b: UInt8) -> Bool { b == 0x20 || (b >= 0x09 && b <= 0x0d) }
    @inline(__always) static func isDigit(_ b: UInt8) -> Bool { b &- 0x30 < 10 }
    @inline(__always) static func lower(_ b: UInt8) -> UInt8 { b &- 0x41 < 26 ? b | 0x20 : b }
    /// 16 for what is no hexadecimal digit.
    @inline(__always) static func hexValue(_ b: UInt8) -> UInt8 {
        if b &- 0x30 < 10 { return b &- 0x30 }
        let letter = (b | 0x20) &- 0x61
        return letter < 6 ? letter &+ 10 : 16
    }
}
