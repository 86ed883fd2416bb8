using System.Collections.Frozen;

namespace Tern.Text.Templates;

/// <summary>The tests of <c>value is name</c>.</summary>
internal static class TemplateTests
{
    public static FrozenDictionary<string, TemplateBuiltin> All { get; } = TemplateBuiltin.Table(
        new("boolean", "", static c => c.Subject.Kind == TemplateKind.Boolean),
        new("callable", "", static c => c.Subject.Kind == TemplateKind.Function),
        new("defined", "", static c => !c.Subject.IsUndefined),
        new("divisibleby", "num", static c => IsZero(Remainder(c, c[0]))),
        new("eq equalto ==", "other", static c => Compare(c, "==")),
        new("escaped", "", static c => c.Subject.IsSafe),
        new("even", "", static c => IsZero(Remainder(c, 2L))),
        new("false", "", static c => c.Subject.Kind == TemplateKind.Boolean && !c.Subject.IsTrue),
        new("filter", "", static c => c.Subject.IsString && TemplateFilters.All.ContainsKey(c.Subject.AsString)),
        new("float", "", static c => c.Subject.Kind == TemplateKind.Float),
        new("ge >=", "other", static c => Compare(c, ">=")),
        new("gt greaterthan >", "other", static c => Compare(c, ">")),
        new("in", "seq", static c => TemplateOperators.Contains(c.Renderer, c[0], c.Subject)),
        new("integer", "", static c => c.Subject.Kind == TemplateKind.Integer),
        new("iterable", "", static c => c.Subject.Kind is TemplateKind.Undefined or TemplateKind.String or TemplateKind.Dictionary || c.Subject.IsSequence),
        new("le <=", "other", static c => Compare(c, "<=")),
        new("lower", "", static c => TemplateStrings.IsCase(c.Renderer, c.Text, upper: false)),
        new("lt lessthan <", "other", static c => Compare(c, "<")),
        new("mapping", "", static c => c.Subject.Kind == TemplateKind.Dictionary),
        new("ne !=", "other", static c => Compare(c, "!=")),
        new("none", "", static c => c.Subject.IsNone),
        new("number", "", static c => c.Subject.IsNumber),
        new("odd", "", static c => !IsZero(Remainder(c, 2L))),
        new("sameas", "other", static c => c.Subject.SameAs(c[0])),
        new("sequence", "", static c => c.Subject.Kind is TemplateKind.Undefined or TemplateKind.String or TemplateKind.Dictionary || c.Subject.IsSequence),
        new("string", "", static c => c.Subject.IsString),
        new("test", "", static c => c.Subject.IsString && All!.ContainsKey(c.Subject.AsString)),
        new("true", "", static c => c.Subject.Kind == TemplateKind.Boolean && c.Subject.IsTrue),
        new("undefined", "", static c => c.Subject.IsUndefined),
        new("upper", "", static c => TemplateStrings.IsCase(c.Renderer, c.Text, upper: true)));

    /// <summary>Applies a test by name.</summary>
    /// <exception cref="TernException">There is no such test, or it refuses its subject or arguments.</exception>
    public static bool Apply(TemplateRenderer renderer, string name, TemplateValue subject, TemplateArguments arguments) =>
        All.TryGetValue(name, out TemplateBuiltin? test) ? test.Call(renderer, subject, arguments).IsTrue
            : throw renderer.Fail($"there is no test {TemplateText.Quote(name)}");

    private static TemplateValue Compare(TemplateCall call, string operation) => TemplateOperators.Compare(call.Renderer, operation, call.Subject, call[0]);

    private static TemplateValue Remainder(TemplateCall call, TemplateValue divisor) =>
        call.Subject.IsString ? throw call.Fail("a number is needed, not 'str'")
            : TemplateOperators.Arithmetic(call.Renderer, "%", call.Subject, divisor);

    private static bool IsZero(TemplateValue number) => number.AsDouble == 0;
}
