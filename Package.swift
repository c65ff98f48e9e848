// swift-tools-version: 6.2
import PackageDescription

// The module order below is the architecture: a module may import only modules that stand above it.
// docs/architecture.md explains each of them; docs/dependencies.md gives the reason for each package.

#if arch(x86_64)
    // CRC32, MOVBE, BMI2: every server since 2013. Needed while compiling every module, because the
    // instructions sit in inline C functions that are inlined into Swift.
    let architecture = "-march=x86-64-v3"
#else
    let architecture = "-march=armv8-a+crc"
#endif

let common: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .unsafeFlags(["-Xcc", architecture]),
    // The packet path works on raw memory owned by one thread; dynamic exclusivity checks would cost a
    // runtime call for each access to a class property. Debug builds, and so the tests, keep them.
    .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release)),
]

func module(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: common)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource]? = nil) -> Target {
    .testTarget(name: name, dependencies: dependencies, resources: resources, swiftSettings: common)
}

func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, swiftSettings: common)
}

let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")
let nio = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")

let package = Package(
    name: "weft",
    products: [
        .executable(name: "weftd", targets: ["weftd"]),
        .executable(name: "weftctl", targets: ["weftctl"]),
        .executable(name: "weft-replay", targets: ["weft-replay"]),
        // For the microbenchmarks of Benchmarks/, a package of its own.
        .library(
            name: "WeftParts",
            targets: ["Base", "Memory", "Flow", "Classifier", "Actions", "Pipeline", "FlowCache"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        .target(name: "CLinux", cSettings: [.unsafeFlags([architecture])], linkerSettings: [.linkedLibrary("pcap")]),
        module("Base", ["CLinux"]),
        module("Memory", ["CLinux", "Base"]),
        module("Wire", ["CLinux", "Base"]),
        module("Flow", ["CLinux", "Base", "Memory", "Wire"]),
        module("Classifier", ["CLinux", "Base", "Memory", "Flow"]),
        module("Conntrack", ["CLinux", "Base", "Memory", "Wire", "Flow"]),
        module("Shaping", ["CLinux", "Base", "Memory"]),
        module("Balancer", ["CLinux", "Base", "Memory", "Wire", "Flow", "Conntrack"]),
        module("Actions", ["CLinux", "Base", "Memory", "Wire", "Flow", "Conntrack", "Shaping"]),
        module(
            "Pipeline",
            [
                "CLinux", "Base", "Memory", "Wire", "Flow", "Classifier", "Conntrack", "Shaping", "Balancer", "Actions",
            ]),
        module("FlowCache", ["CLinux", "Base", "Memory", "Flow", "Conntrack", "Actions", "Pipeline"]),
        module("Ports", ["CLinux", "Base", "Memory", logging]),
        module(
            "Dataplane",
            [
                "CLinux", "Base", "Memory", "Wire", "Flow", "Classifier", "Conntrack", "Shaping", "Balancer", "Actions",
                "Pipeline", "FlowCache",
                "Ports", logging,
            ]),
        module(
            "Control",
            [
                "CLinux", "Base", "Memory", "Flow", "Conntrack", "Shaping", "Balancer", "Actions", "Pipeline",
                "FlowCache", "Ports", "Dataplane", logging,
                yams, nio, nioPosix, nioSSL,
            ]),
        .target(
            name: "FrameSupport", dependencies: ["Base", "Memory", "Flow"], path: "Tests/FrameSupport",
            swiftSettings: common),
        tests("ShapingTests", ["Base", "Memory", "Shaping", "FrameSupport"]),
        tests("ActionsTests", ["CLinux", "Base", "Memory", "Wire", "Flow", "Shaping", "Actions", "FrameSupport"]),
        tests(
            "ControlTests",
            [
                "Control", "Balancer", "Conntrack", "Dataplane", "Pipeline", "Base", "FrameSupport", logging,
                "FlowCache",
                nio, nioPosix, nioSSL,
            ]),
        tests(
            "DataplaneTests",
            ["Base", "Memory", "Flow", "FlowCache", "Pipeline", "Ports", "Dataplane", "FrameSupport", logging]),
        tests(
            "ConntrackTests", ["CLinux", "Base", "Memory", "Wire", "Flow", "Conntrack", "FrameSupport"],
            resources: [.copy("Resources")]),
        tests(
            "BalancerTests", ["CLinux", "Base", "Memory", "Flow", "Conntrack", "Balancer", "FrameSupport"]),
        tests("WireTests", ["CLinux", "Base", "Wire", "FrameSupport"]),
        tests("ExtractorTests", ["CLinux", "Base", "Memory", "Flow", "FrameSupport"]),
        tests("FlowCacheTests", ["Base", "Memory", "Flow", "Actions", "Pipeline", "FlowCache", "FrameSupport"]),
        tests("FlowTests", ["CLinux", "Base", "Wire", "Flow"], resources: [.copy("Resources")]),
        tests(
            "OracleTests",
            [
                "Base", "Memory", "Flow", "Balancer", "Actions", "Pipeline", "FlowCache", "Ports", "Dataplane",
                "Control", "FrameSupport", logging,
            ]),
        tests("PipelineTests", ["CLinux", "Base", "Memory", "Wire", "Flow", "Classifier", "Actions", "Pipeline"]),
        tests("ClassifierTests", ["Flow", "Classifier"]),
        tests("PortsTests", ["CLinux", "Base", "Memory", "Ports", logging]),
        program("weftd", ["Control", "Dataplane", "Base", argumentParser, logging]),
        program("weftctl", ["Control", "Base", argumentParser]),
        program("weft-replay", ["Control", "Dataplane", "Base", argumentParser, logging]),
    ]
)
