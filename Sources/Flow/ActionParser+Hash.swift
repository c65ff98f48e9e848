import Base

extension HashFields {
    static let names: [(StaticString, HashFields)] = [
        ("eth_src", .ethSrc), ("symmetric_l4", .symmetricL4), ("symmetric_l3l4", .symmetricL3L4),
        ("symmetric_l3l4+udp", .symmetricL3L4UDP), ("nw_src", .nwSrc), ("nw_dst", .nwDst),
        ("symmetric_l3", .symmetricL3),
    ]

    var name: String { HashFields.names.first { $0.1 == self }.map { "\($0.0)" } ?? "" }

    static func parse(_ text: Text) throws(FlowSyntaxError) -> HashFields {
        for (name, fields) in names where text.equalsFolded(name) { return fields }
        let known = names.map { "\($0.0)" }.joined(separator: ", ")
        throw FlowSyntaxError(text, "unknown fields \(text.quoted): expected \(known)")
    }
}

extension BundleParameters.Algorithm {
    var name: String { self == .activeBackup ? "active_backup" : "hrw" }
}

extension MultipathParameters.Algorithm {
    var name: String {
        switch self {
        case .moduloN: "modulo_n"
        case .hashThreshold: "hash_threshold"
        case .highestRandomWeight: "hrw"
        case .iterativeHash: "iter_hash"
        }
    }
}

extension ActionParser {
    /// `bundle(fields, basis, algorithm, ofport, members:1,2)`; `bundle_load` has a field before the members.
    func parseBundle(_ text: Text, loads: Bool) throws(FlowSyntaxError) -> Action {
        var rest = text
        let form =
            loads
            ? "bundle_load(fields,basis,algorithm,ofport,field,members:...)"
            : "bundle(fields,basis,algorithm,ofport,members:...)"
        func word(_ separators: StaticString = ", ") throws(FlowSyntaxError) -> Text {
            guard let word = rest.nextWord(separatedBy: separators) else {
                throw FlowSyntaxError(text, "not enough arguments: expected \(form)")
            }
            return word
        }
        var result = BundleParameters()
        result.fields = try HashFields.parse(try word())
        result.basis = try (try word()).uint16("basis")
        let algorithm = try word()
        if algorithm.equalsFolded("active_backup") {
            result.algorithm = .activeBackup
        } else if algorithm.equalsFolded("hrw") {
            result.algorithm = .highestRandomWeight
        } else {
            throw FlowSyntaxError(algorithm, "unknown algorithm \(algorithm.quoted): expected active_backup or hrw")
        }
        let kind = try word()
        guard kind.equalsFolded("ofport") else { throw FlowSyntaxError(kind, "unknown member type: expected ofport") }
        if loads { result.destination = try Subfield.parse(try word(), context) }
        let delimiter = try word(": ")
        guard delimiter.equalsFolded("members") || delimiter.equalsFolded("slaves") else {
            throw FlowSyntaxError(delimiter, "expected members:, found \(delimiter.quoted)")
        }
        while let member = rest.nextWord(separatedBy: ", []") {
            result.members.append(try Ports.parse(member, context))
            if result.members.count > 2048 { throw FlowSyntaxError(member, "more than 2048 members") }
        }
        return .bundle(result)
    }

    /// `multipath(fields, basis, algorithm, links, argument, field)`.
    func parseMultipath(_ text: Text) throws(FlowSyntaxError) -> Action {
        var rest = text
        func word() throws(FlowSyntaxError) -> Text {
            guard let word = rest.nextWord(separatedBy: ", ") else {
                throw FlowSyntaxError(
                    text, "not enough arguments: expected multipath(fields,basis,algorithm,links,argument,field)")
            }
            return word
        }
        let fields = try HashFields.parse(try word())
        let basis = try (try word()).uint16("basis")
        let name = try word()
        let algorithm: MultipathParameters.Algorithm
        if name.equalsFolded("modulo_n") {
            algorithm = .moduloN
        } else if name.equalsFolded("hash_threshold") {
            algorithm = .hashThreshold
        } else if name.equalsFolded("hrw") {
            algorithm = .highestRandomWeight
        } else if name.equalsFolded("iter_hash") {
            algorithm = .iterativeHash
        } else {
            throw FlowSyntaxError(
                name, "unknown algorithm \(name.quoted): expected modulo_n, hash_threshold, hrw or iter_hash")
        }
        let linkText = try word()
        let links = try linkText.uint32("n_links")
        guard links >= 1, links <= 65536 else {
            throw FlowSyntaxError(linkText, "n_links \(links) is not in valid range 1 to 65536")
        }
        let argument = try (try word()).uint32("argument")
        let fieldText = try word()
        let destination = try Subfield.parse(fieldText, context)
        if destination.width < 16, links > 1 << UInt32(destination.width) {
            throw FlowSyntaxError(
                fieldText,
                "\(destination.width)-bit destination field has \(1 << destination.width) possible values, less than n_links \(links)"
            )
        }
        return .multipath(
            MultipathParameters(
                fields: fields, basis: basis, algorithm: algorithm, links: links, argument: argument,
                destination: destination))
    }
}
