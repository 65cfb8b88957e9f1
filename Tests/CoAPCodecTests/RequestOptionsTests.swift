import CoAPCodec
import NIOCore
import Testing

@Suite("Options of requests")
struct RequestOptionsTests {
    /// The rows of the table of malformed inputs that options decide: options, response, whether a NON gets one too.
    static let problems: [(name: String, options: CoAPOptions, code: CoAPCode, isSilentForNON: Bool)] = [
        ("unknown critical option", options((CoAPOptionNumber(rawValue: 9999), "")), .badOption, true),
        (
            "unknown critical option among the known", options((.uriPath, "'a'"), (.init(rawValue: 13), "00")),
            .badOption, true
        ),
        ("Uri-Path of 256 bytes", options((.uriPath, String(repeating: "61", count: 256))), .badOption, true),
        ("Uri-Query of 256 bytes", options((.uriQuery, String(repeating: "61", count: 256))), .badOption, true),
        ("two Uri-Host", options((.uriHost, "'a'"), (.uriHost, "'a'")), .badOption, true),
        ("Uri-Host of no bytes", options((.uriHost, "")), .badOption, true),
        ("Uri-Host of 256 bytes", options((.uriHost, String(repeating: "61", count: 256))), .badOption, true),
        ("Uri-Port of three bytes", options((.uriPort, "001633")), .badOption, true),
        ("If-None-Match with a value", options((.ifNoneMatch, "00")), .badOption, true),
        ("If-Match of nine bytes", options((.ifMatch, "000000000000000000")), .badOption, true),
        ("Accept of three bytes", options((.accept, "000032")), .badOption, true),
        ("two Accept", options((.accept, ""), (.accept, "32")), .badOption, true),
        ("Block1 of four bytes", options((.block1, "00000000")), .badOption, true),
        ("two Block2", options((.block2, "00"), (.block2, "00")), .badOption, true),
        ("Q-Block1 of RFC 9177", options((.qBlock1, "06")), .badOption, true),
        ("Q-Block2 of RFC 9177", options((.qBlock2, "06")), .badOption, true),
        ("EDHOC of RFC 9668", options((.edhoc, "")), .badOption, true),
        ("two OSCORE", options((.oscore, ""), (.oscore, "")), .badOption, true),
        ("Block2 with SZX 7", options((.block2, "07")), .badRequest, false),
        ("Block1 with SZX 7", options((.block1, "0F")), .badRequest, false),
        ("Proxy-Uri", options((.proxyURI, "'coap://x/'")), .proxyingNotSupported, false),
        ("Proxy-Scheme", options((.proxyScheme, "'coap'")), .proxyingNotSupported, false),
        ("Uri-Host of ill-formed UTF-8", options((.uriHost, "C0AF")), .badRequest, false),
        ("Uri-Query of ill-formed UTF-8", options((.uriQuery, "'a=' FF")), .badRequest, false),
    ]

    @Test("what a request can't be served for, and the response", arguments: problems.indices)
    func refuses(index: Int) throws {
        let (name, options, code, isSilent) = Self.problems[index]
        let problem = try #require(CoAPRequestOptions(options).problem, "\(name)")
        #expect(problem.code == code)
        #expect(!problem.isSilent(.confirmable))
        #expect(problem.isSilent(.nonConfirmable) == isSilent)
    }

    @Test("elective options that are wrong are passed over")
    func elective() {
        let many = options(
            (CoAPOptionNumber(rawValue: 10_000), "'whatever'"),
            (.observe, "00000000"),
            (.contentFormat, "32"),
            (.contentFormat, "3C"),
            (.contentFormat, "000032"),
            (.size1, "0000000001"),
            (.echo, ""),
            (.noResponse, "0200"),
            (.requestTag, "000000000000000000"),
            (.eTag, "")
        )
        let read = CoAPRequestOptions(many)
        #expect(read.problem == nil)
        #expect(read.observe == nil, "four bytes of Observe")
        #expect(read.contentFormat == .json, "the first of two")
        #expect(read.size1 == nil)
        #expect(read.echo == nil)
        #expect(read.noResponse == nil)
        #expect(!read.hasRequestTag)
        #expect(!read.hasETag)
    }

    @Test("numbers are read with leading zeroes and without a byte")
    func numbers() {
        let zeroes = CoAPRequestOptions(options((.contentFormat, "0032"), (.observe, "000001"), (.accept, "0000")))
        #expect(zeroes.contentFormat == .json)
        #expect(zeroes.observe == CoAPObserve.deregister)
        #expect(zeroes.accept == .textPlain)
        let empty = CoAPRequestOptions(options((.observe, ""), (.block2, ""), (.noResponse, ""), (.size2, "")))
        #expect(empty.observe == CoAPObserve.register)
        #expect(empty.block2 == CoAPBlock(number: 0, hasMore: false, sizeExponent: 0))
        #expect(empty.noResponse == CoAPNoResponse(value: 0))
        #expect(empty.size2 == 0)
    }

    @Test("everything that a request may have is read in one pass")
    func everything() {
        let read = CoAPRequestOptions(
            options(
                (.ifMatch, ""),
                (.ifMatch, "01"),
                (.uriHost, "'gw'"),
                (.eTag, "AA"),
                (.eTag, "BB"),
                (.ifNoneMatch, ""),
                (.uriPort, "1633"),
                (.uriPath, "'ps'"),
                (.uriQuery, "'a=1'"),
                (.uriQuery, "'b'"),
                (.accept, "3C"),
                (.block2, "06"),
                (.block1, "1E"),
                (.size2, ""),
                (.size1, "1388"),
                (.echo, "0102"),
                (.noResponse, "1A"),
                (.requestTag, "01"),
                (.requestTag, "02"),
                (.oscore, "0914"),
                (.hopLimit, "10")
            )
        )
        #expect(read.problem == nil)
        #expect(read.hasIfMatch && read.hasETag && read.hasIfNoneMatch && read.hasUriHost && read.hasUriPort)
        #expect(read.hasQuery && read.hasRequestTag)
        #expect(read.accept == .cbor)
        #expect(read.block1 == CoAPBlock(number: 1, hasMore: true, sizeExponent: 6))
        #expect(read.block2 == CoAPBlock(number: 0, hasMore: false, sizeExponent: 6))
        #expect(read.size1 == 5000)
        #expect(read.echo.map(hex) == "0102")
        #expect(read.oscore.map(hex) == "0914")
        #expect(read.noResponse == CoAPNoResponse(value: 26))
    }

    @Test("No-Response names classes (RFC 7967, table 2)")
    func noResponse() {
        let all = CoAPNoResponse(value: 26)
        #expect(all.suppresses(.changed) && all.suppresses(.notFound) && all.suppresses(.serviceUnavailable))
        let errorsOnly = CoAPNoResponse(value: 2)
        #expect(errorsOnly.suppresses(.changed) && !errorsOnly.suppresses(.notFound))
        #expect(!CoAPNoResponse(value: 0).suppresses(.changed))
        #expect(!CoAPNoResponse(value: 0xFF).suppresses(.empty))
    }

    @Test("the properties that a number tells (RFC 7252, table 4, and later ones)")
    func properties() {
        let critical: [CoAPOptionNumber] = [
            .ifMatch, .uriHost, .ifNoneMatch, .uriPort, .oscore, .uriPath, .uriQuery, .accept, .qBlock1, .edhoc,
            .block2,
            .block1, .qBlock2, .proxyURI, .proxyScheme,
        ]
        let elective: [CoAPOptionNumber] = [
            .eTag, .observe, .locationPath, .contentFormat, .maxAge, .hopLimit, .locationQuery, .size2, .size1, .echo,
            .noResponse, .requestTag,
        ]
        #expect(critical.filter { !$0.isCritical }.isEmpty)
        #expect(elective.filter { $0.isCritical }.isEmpty)
        let unsafe: [CoAPOptionNumber] = [
            .uriHost, .observe, .uriPort, .uriPath, .maxAge, .uriQuery, .qBlock1, .block2, .block1, .qBlock2,
            .proxyURI, .proxyScheme, .noResponse,
        ]
        #expect((critical + elective).filter(\.isUnsafe).sorted() == unsafe.sorted())
        #expect((critical + elective).filter(\.isNoCacheKey).sorted() == [.size2, .size1, .echo])
        #expect((critical + elective).allSatisfy { $0.definition != nil })
        #expect(CoAPOptionNumber(rawValue: 2).definition == nil)
        #expect(CoAPOptionNumber.uriPath.description == "Uri-Path")
    }
}
