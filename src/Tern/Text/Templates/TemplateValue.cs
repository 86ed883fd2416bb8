using System.Globalization;

namespace Tern.Text.Templates;

/// <summary>The kinds of value that a template can hold. There are no others: no .NET object is ever reachable from a template.</summary>
internal enum TemplateKind : byte
{
    /// <summary>A name or key that is not there. Prints as nothing, is false and has no elements.</summary>
    Undefined,
    None,
    Boolean,
    Integer,
    Float,
    String,
    List,
    Tuple,
    Dictionary,

    /// <summary>A namespace or a loop variable: named attributes, nothing else.</summary>
    Object,

    /// <summary>A macro, a global function or a method bound to its value.</summary>
    Function,
}

/// <summary>One value of the template language, with the types and the truth of Python.</summary>
internal readonly struct TemplateValue
{
    private readonly object? _object;

    // Boolean: 0 or 1. Integer: the value. Float: its bits. String: 1 when marked as safe.
    private readonly long _bits;

    private TemplateValue(TemplateKind kind, object? content, long bits = 0)
    {
        Kind = kind;
        _object = content;
        _bits = bits;
    }

    /// <summary>What kind of value this is; <c>default</c> is undefined.</summary>
    public TemplateKind Kind { get; }

    /// <summary>Python's <c>None</c>.</summary>
    public static TemplateValue None { get; } = new(TemplateKind.None, null);

    /// <summary>The empty string.</summary>
    public static TemplateValue Empty { get; } = "";

    /// <summary>What a lookup of <paramref name="name"/> gives when nothing is there; the name is for error messages.</summary>
    public static TemplateValue Undefined(string? name) => new(TemplateKind.Undefined, name);

    /// <summary>A string that <c>safe</c> or <c>escape</c> has marked as not to be escaped.</summary>
    public static TemplateValue Safe(string text) => new(TemplateKind.String, text, 1);

    /// <summary>A float. There is no implicit conversion: <c>condition ? integer : number</c> would quietly be a float.</summary>
    public static TemplateValue Float(double value) => new(TemplateKind.Float, null, BitConverter.DoubleToInt64Bits(value));

    /// <summary>A list; the reference is shared, as in Python.</summary>
    public static TemplateValue List(TemplateList items) => new(TemplateKind.List, items);

    /// <summary>A tuple.</summary>
    public static TemplateValue Tuple(TemplateList items) => new(TemplateKind.Tuple, items);

    public static implicit operator TemplateValue(bool value) => new(TemplateKind.Boolean, null, value ? 1 : 0);

    public static implicit operator TemplateValue(long value) => new(TemplateKind.Integer, null, value);

    public static implicit operator TemplateValue(string value) => new(TemplateKind.String, value);

    public static implicit operator TemplateValue(TemplateDictionary value) => new(TemplateKind.Dictionary, value);

    public static implicit operator TemplateValue(TemplateObject value) =>
        new(value is TemplateFunction ? TemplateKind.Function : TemplateKind.Object, value);

    public bool IsUndefined => Kind == TemplateKind.Undefined;

    public bool IsNone => Kind == TemplateKind.None;

    public bool IsString => Kind == TemplateKind.String;

    /// <summary>A list or a tuple.</summary>
    public bool IsSequence => Kind is TemplateKind.List or TemplateKind.Tuple;

    /// <summary>A boolean or an integer: Python's booleans are integers.</summary>
    public bool IsIntegral => Kind is TemplateKind.Boolean or TemplateKind.Integer;

    /// <summary>A boolean, an integer or a float.</summary>
    public bool IsNumber => Kind is TemplateKind.Boolean or TemplateKind.Integer or TemplateKind.Float;

    /// <summary>Whether a string is marked as safe.</summary>
    public bool IsSafe => Kind == TemplateKind.String && _bits == 1;

    /// <summary>The text of a string.</summary>
    public string AsString => (string)_object!;

    /// <summary>The elements of a list or tuple.</summary>
    public TemplateList AsList => (TemplateList)_object!;

    public TemplateDictionary AsDictionary => (TemplateDictionary)_object!;

    /// <summary>The object behind an object or a function.</summary>
    public TemplateObject AsObject => (TemplateObject)_object!;

    /// <summary>The value of a boolean or an integer.</summary>
    public long AsLong => _bits;

    /// <summary>The value of any number.</summary>
    public double AsDouble => Kind == TemplateKind.Float ? BitConverter.Int64BitsToDouble(_bits) : _bits;

    /// <summary>The name that was looked up in vain, for messages.</summary>
    public string UndefinedName => _object as string ?? "value";

    /// <summary>Python's truth: zero, nothing and emptiness are false.</summary>
    public bool IsTrue => Kind switch
    {
        TemplateKind.Undefined or TemplateKind.None => false,
        TemplateKind.Boolean or TemplateKind.Integer => _bits != 0,
        TemplateKind.Float => AsDouble != 0,
        TemplateKind.String => AsString.Length > 0,
        TemplateKind.List or TemplateKind.Tuple => AsList.Count > 0,
        TemplateKind.Dictionary => AsDictionary.Count > 0,
        _ => true,
    };

    /// <summary>Python's name of the type, for messages.</summary>
    public string TypeName => Kind switch
    {
        TemplateKind.Undefined => "undefined",
        TemplateKind.None => "NoneType",
        TemplateKind.Boolean => "bool",
        TemplateKind.Integer => "int",
        TemplateKind.Float => "float",
        TemplateKind.String => "str",
        TemplateKind.List => "list",
        TemplateKind.Tuple => "tuple",
        TemplateKind.Dictionary => "dict",
        TemplateKind.Function => "function",
        _ => AsObject.Name,
    };

    /// <summary>Python's <c>is</c>: the same value of a scalar, the same reference of anything else.</summary>
    public bool SameAs(TemplateValue other) =>
        Kind == other.Kind && _bits == other._bits && (IsString ? AsString == other.AsString : IsUndefined || ReferenceEquals(_object, other._object));

    /// <summary>For debuggers only; templates print through <see cref="TemplateText"/>.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Kind} {_object ?? _bits}");
}
