/// Splits a line into words as a shell does: blanks separate, single quotes keep everything, double quotes and backslash keep
/// the next character, `#` at the start of a word begins a comment. Nothing is expanded.
public enum ShellWords {
    public struct SyntaxError: Error, CustomStringConvertible, Equatable, Sendable {
        public let description: String
    }

    public static func split(_ line: some StringProtocol) throws(SyntaxError) -> [String] {
        var words: [String] = []
        var word = ""
        var isOpen = false
        var quote: Character?
        var characters = line.makeIterator()
        while let character = characters.next() {
            if let mark = quote {
                if character == mark {
                    quote = nil
                } else if character == "\\", mark == "\"" {
                    guard let next = characters.next() else { break }
                    if next != "\"", next != "\\" { word.append("\\") }
                    word.append(next)
                } else {
                    word.append(character)
                }
                continue
            }
            switch character {
            case " ", "\t", "\r":
                if isOpen { words.append(word) }
                word = ""
                isOpen = false
                continue
            case "#" where !isOpen:
                return words
            case "'", "\"":
                quote = character
            case "\\":
                guard let next = characters.next() else { throw SyntaxError(description: "backslash at the end") }
                word.append(next)
            default:
                word.append(character)
            }
            isOpen = true
        }
        guard quote == nil else { throw SyntaxError(description: "a quote is not closed") }
        if isOpen { words.append(word) }
        return words
    }
}
