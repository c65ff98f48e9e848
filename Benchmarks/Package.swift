// swift-tools-version: 6.1
import PackageDescription

// Microbenchmarks of single parts, apart from the main package so that nobody who only builds Weft fetches what
// they need. Run: swift package --package-path Benchmarks benchmark

let package = Package(
    name: "weft-benchmarks",
    platforms: [.macOS(.v13)],
    dependencies: [
        .package(name: "weft", path: ".."),
        .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []),
    ],
    targets: [
        .executableTarget(
            name: "Parts",
            dependencies: [
                .product(name: "Benchmark", package: "benchmark"),
                .product(name: "WeftParts", package: "weft"),
            ],
            path: "Benchmarks/Parts",
            swiftSettings: [.unsafeFlags(["-Xcc", "-march=x86-64-v3"], .when(platforms: [.linux]))],
            plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")])
    ]
)
