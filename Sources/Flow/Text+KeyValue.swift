/// One `key`, `key=value`, `key:value` or `key(value)`.
struct KeyValue {
    var key: Text
    var value: Text
    /// `=`, `:`, `(` or 0 when there is no value.
    var delimiter: UInt8
    /// Key and value with what stands between them.
    var whole: Text

    var hasValue: Bool { delimiter != 0 }
}

extension Text {
    @inline(__always) private static func isSeparator(_ b: UInt8) -> Bool { b == UInt8(ascii: ",") || ASCII.isSpace(b) }

    /// Takes the next item off the front; nil at the end.
    ///
    /// Items are separated by commas and white space. A value after `=` or `:` ends there too, except inside
    /// parentheses and quoted names; one in parentheses ends at its `)`, and `(x)->y` belongs together.
    mutating func nextKeyValue() -> KeyValue? {
        while !isEmpty, Text.isSeparator(self[0]) { start += 1 }
        if isEmpty { return nil }
        let whole = self
        var n = 0
        if self[0] == UInt8(ascii: "\"") { n = quotedLength(at: 0) }
        while n < count, !Text.endsKey(self[n]) { n += 1 }
        let delimiter = self[n]
        let key = prefix(n)
        guard delimiter == UInt8(ascii: "=") || delimiter == UInt8(ascii: ":") || delimiter == UInt8(ascii: "(") else {
            start += n
            return KeyValue(key: key, value: key.tail, delimiter: 0, whole: key)
        }
        var rest = dropFirst(n + 1)
        let inParentheses = delimiter == UInt8(ascii: "(")
        var length = rest.valueLength(inParentheses: inParentheses, from: 0)
        if inParentheses, rest.slice(length, length + 3).equals(")->") {
            length = rest.valueLength(inParentheses: false, from: length)
        }
        let value = rest.prefix(length)
        let isClosed = inParentheses && rest[length] == UInt8(ascii: ")")
        rest = rest.dropFirst(length)
        if !rest.isEmpty { rest.start += 1 }
        self = rest
        let consumed = value.end - whole.start + (isClosed ? 1 : 0)
        return KeyValue(key: key, value: value, delimiter: delimiter, whole: whole.prefix(consumed))
    }

    @inline(__always) private static func endsKey(_ b: UInt8) -> Bool {
        b == UInt8(ascii: ":") || b == UInt8(ascii: "=") || b == UInt8(ascii: "(") || isSeparator(b)
    }

    private func valueLength(inParentheses: Bool, from: Int) -> Int {
        var n = from
        while n < count {
            let byte = self[n]
            if inParentheses ? byte == UInt8(ascii: ")") : Text.isSeparator(byte) { return n }
            if byte == UInt8(ascii: "(") {
                n = closing(from: n)
            } else if byte == UInt8(ascii: "\""), n == from || inParentheses {
                n += quotedLength(at: n)
            } else {
                n += 1
            }
        }
        return n
    }

    /// Index behind the parenthesis that closes the one at `from`, or the end.
    private func closing(from: Int) -> Int {
        var level = 0
        var n = from
        while n < count {
            if self[n] == UInt8(ascii: "(") { level += 1 }
            if self[n] == UInt8(ascii: ")") { level -= 1 }
            n += 1
            if level == 0 { break }
        }
        return n
    }

    /// Bytes of the quoted name at `at`, both quotes included; 1 if it is not closed.
    private func quotedLength(at: Int) -> Int {
        var n = at + 1
        while n < count {
            if self[n] == UInt8(ascii: "\\") {
                n += 1
            } else if self[n] == UInt8(ascii: "\"") {
                return n + 1 - at
            }
            n += 1
        }
        return 1
    }

    /// Takes the next word off the front, words being separated by any byte of `separators`.
    mutating func nextWord(separatedBy separators: StaticString) -> Text? {
        func separates(_ b: UInt8) -> Bool {
            for i in 0..<separators.utf8CodeUnitCount where separators.utf8Start[i] == b { return true }
            return false
        }
        while !isEmpty, separates(self[0]) { start += 1 }
        if isEmpty { return nil }
        var n = 0
        while n < count, !separates(self[n]) { n += 1 }
        let word = prefix(n)
        start = min(start + n + 1, end)
        return word
    }
}
