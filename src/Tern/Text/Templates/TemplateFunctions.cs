using System.Collections.Frozen;

namespace Tern.Text.Templates;

/// <summary>A value with named attributes or a call, and nothing else.</summary>
internal abstract class TemplateObject
{
    /// <summary>What messages call it.</summary>
    public abstract string Name { get; }

    public virtual bool TryGetAttribute(TemplateRenderer renderer, string name, out TemplateValue value)
    {
        value = default;
        return false;
    }

    public virtual TemplateValue Call(TemplateRenderer renderer, TemplateArguments arguments) =>
        throw renderer.Fail($"'{Name}' cannot be called");
}

/// <summary>A value that is made to be called.</summary>
internal abstract class TemplateFunction : TemplateObject;

/// <summary><c>namespace(a=1)</c>: attributes that <c>{% set ns.a = … %}</c> may change from any scope.</summary>
internal sealed class TemplateNamespace(TemplateDictionary attributes) : TemplateObject
{
    public override string Name => "namespace";

    public TemplateDictionary Attributes { get; } = attributes;

    public override bool TryGetAttribute(TemplateRenderer renderer, string name, out TemplateValue value) => Attributes.TryGet(name, out value);
}

/// <summary>The evaluated arguments of a call.</summary>
internal sealed record TemplateArguments(TemplateValue[] Positional, (string Name, TemplateValue Value)[] Keywords)
{
    public static TemplateArguments None { get; } = new([], []);

    /// <summary>These and one more keyword.</summary>
    public TemplateArguments With(string name, TemplateValue value) => this with { Keywords = [.. Keywords, (name, value)] };

    /// <summary>These without the first <paramref name="count"/> positional ones.</summary>
    public TemplateArguments Skip(int count) => this with { Positional = Positional.Length <= count ? [] : Positional[count..] };

    /// <summary>The value of a keyword, or undefined.</summary>
    public TemplateValue Keyword(string name)
    {
        foreach ((string key, TemplateValue value) in Keywords)
            if (key == name)
                return value;
        return default;
    }
}

/// <summary>
/// A row of a table of filters, tests, methods or globals: a name, its parameters and what it does.
/// Parameters are words; those that end in <c>?</c> may be left out; <c>*</c> takes any arguments unbound.
/// </summary>
internal sealed class TemplateBuiltin
{
    private readonly string[] _parameters;
    private readonly int _required;
    private readonly bool _any;
    private readonly Func<TemplateCall, TemplateValue> _body;

    public TemplateBuiltin(string name, string parameters, Func<TemplateCall, TemplateValue> body)
    {
        Name = name;
        _body = body;
        _any = parameters == "*";
        string[] words = _any ? [] : parameters.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        _required = words.Count(word => !word.EndsWith('?'));
        _parameters = [.. words.Select(word => word.TrimEnd('?'))];
    }

    public string Name { get; }

    /// <summary>The rows by name. A row may have several names, separated by spaces.</summary>
    public static FrozenDictionary<string, TemplateBuiltin> Table(params TemplateBuiltin[] rows) =>
        rows.SelectMany(row => row.Name.Split(' ').Select(name => KeyValuePair.Create(name, row))).ToFrozenDictionary(StringComparer.Ordinal);

    /// <summary>Binds the arguments to the parameters and runs.</summary>
    public TemplateValue Call(TemplateRenderer renderer, TemplateValue subject, TemplateArguments arguments)
    {
        renderer.Charge(1);
        if (_any)
            return _body(new TemplateCall(renderer, this, subject, [], arguments));

        if (arguments.Positional.Length > _parameters.Length)
            throw renderer.Fail($"{ShortName}() takes at most {_parameters.Length} arguments, {arguments.Positional.Length} were given");

        TemplateValue[] bound = arguments.Positional;
        if (bound.Length < _parameters.Length)
            Array.Resize(ref bound, _parameters.Length);
        foreach ((string name, TemplateValue value) in arguments.Keywords)
        {
            int at = Array.IndexOf(_parameters, name);
            if (at < 0)
                throw renderer.Fail($"{ShortName}() has no argument '{name}'");
            if (at < arguments.Positional.Length)
                throw renderer.Fail($"{ShortName}() has two values for the argument '{name}'");
            bound[at] = value;
        }

        for (int i = arguments.Positional.Length; i < _required; i++)
            if (bound[i].IsUndefined && arguments.Keywords.All(k => k.Name != _parameters[i]))
                throw renderer.Fail($"{ShortName}() needs the argument '{_parameters[i]}'");

        return _body(new TemplateCall(renderer, this, subject, bound, arguments));
    }

    /// <summary>The first name, for messages.</summary>
    public string ShortName => Name.Split(' ')[0];
}

/// <summary>A builtin as a value: a global, or a method together with the value it was taken from.</summary>
internal sealed class BoundBuiltin(TemplateBuiltin builtin, TemplateValue subject) : TemplateFunction
{
    public override string Name => builtin.ShortName;

    public override TemplateValue Call(TemplateRenderer renderer, TemplateArguments arguments) => builtin.Call(renderer, subject, arguments);
}

/// <summary>One call of a builtin: its subject, its arguments by place, and typed reading of them.</summary>
internal sealed class TemplateCall(TemplateRenderer renderer, TemplateBuiltin builtin, TemplateValue subject, TemplateValue[] bound, TemplateArguments given)
{
    public TemplateRenderer Renderer { get; } = renderer;

    /// <summary>The value in front of the filter, test or method.</summary>
    public TemplateValue Subject { get; } = subject;

    /// <summary>All arguments as given, for builtins that take any.</summary>
    public TemplateArguments Given { get; } = given;

    /// <summary>The argument of a parameter; undefined where none was given.</summary>
    public TemplateValue this[int parameter] => bound[parameter];

    /// <summary>Whether a parameter has a value other than undefined and none.</summary>
    public bool Has(int parameter) => !bound[parameter].IsUndefined && !bound[parameter].IsNone;

    /// <summary>The subject as text, as Python's <c>str</c> gives it. Charges for reading it.</summary>
    public string Text
    {
        get
        {
            string text = TemplateText.Of(Renderer, Subject);
            Renderer.ChargeText(text.Length);
            return text;
        }
    }

    public string TextAt(int parameter, string fallback) => Has(parameter) ? TemplateText.Of(Renderer, bound[parameter]) : fallback;

    /// <summary>An argument that must be a string.</summary>
    public string StringAt(int parameter) => bound[parameter].IsString ? bound[parameter].AsString : throw Wrong(parameter, "a string");

    public bool FlagAt(int parameter, bool fallback) => bound[parameter].IsUndefined ? fallback : bound[parameter].IsTrue;

    /// <summary>An argument that must be an integer, held inside [-2^31 + 1, 2^31 - 1] (no text or list is longer).</summary>
    public int IntegerAt(int parameter, int fallback) => !Has(parameter) ? fallback
        : bound[parameter].IsIntegral ? (int)Math.Clamp(bound[parameter].AsLong, -int.MaxValue, int.MaxValue)
        : throw Wrong(parameter, "an integer");

    /// <summary>Counts the memory of a string that was just made from the subject and is not much longer than it.</summary>
    public TemplateValue Made(string text)
    {
        Renderer.Allocate(2L * text.Length);
        return text;
    }

    public TernException Fail(string what) => Renderer.Fail($"{builtin.ShortName}(): {what}");

    private TernException Wrong(int parameter, string expected) => Fail($"argument {parameter + 1} is of type '{bound[parameter].TypeName}', must be {expected}");
}
