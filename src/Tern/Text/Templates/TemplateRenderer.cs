using System.Runtime.CompilerServices;
using System.Text;

namespace Tern.Text.Templates;

/// <summary>Where a statement list stopped.</summary>
internal enum TemplateFlow : byte
{
    Completed,
    Break,
    Continue,
}

/// <summary>One render of a template: the scopes, the text so far and what is left of the budgets.</summary>
internal sealed class TemplateRenderer(TemplateBudget budget, TemplateScope globals, DateTimeOffset now)
{
    // A character or an element is cheap beside a node; these many count as one step.
    private const int CharactersPerStep = 64;
    private const int ElementsPerStep = 16;

    private readonly StringBuilder _output = new();
    private TemplateTextBuilder? _capture;
    private long _stepsLeft = budget.Steps;
    private long _memoryLeft = budget.MemoryBytes;
    private int _depth;

    /// <summary>The line of the operation in progress, for errors.</summary>
    public int Line { get; set; } = 1;

    /// <summary>The innermost scope.</summary>
    public TemplateScope Scope { get; set; } = globals;

    /// <summary>The time that <c>strftime_now</c> tells.</summary>
    public DateTimeOffset Now { get; } = now;

    /// <summary>The text that the filter or set block being finished has captured.</summary>
    public TemplateValue Captured { get; private set; }

    /// <summary>Renders the statements of a template.</summary>
    public string Render(TemplateStatement[] body)
    {
        Execute(body);
        return _output.ToString();
    }

    /// <summary>An error at the line in progress.</summary>
    public TernException Fail(string what) => TemplateError.At(Line, what);

    /// <summary>Counts steps.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Charge(long steps)
    {
        _stepsLeft -= steps;
        if (_stepsLeft < 0)
            throw Exceeded("step", budget.Steps, "");
    }

    /// <summary>Counts the reading of a text.</summary>
    public void ChargeText(long characters) => Charge(characters / CharactersPerStep);

    /// <summary>Counts the reading or copying of elements.</summary>
    public void ChargeItems(long elements) => Charge(elements / ElementsPerStep);

    /// <summary>Counts memory, before it is taken.</summary>
    public void Allocate(long bytes)
    {
        _memoryLeft -= bytes;
        if (_memoryLeft < 0)
            throw Exceeded("memory", budget.MemoryBytes, " bytes");
    }

    /// <summary>Goes one level deeper in whatever recurses.</summary>
    public void Enter()
    {
        if (++_depth > budget.Depth || !RuntimeHelpers.TryEnsureSufficientExecutionStack())
            throw Exceeded("depth", budget.Depth, " levels");
    }

    /// <summary>Comes back up. An error ends the render, so there is no need to call it then.</summary>
    public void Leave() => _depth--;

    /// <summary>A list for <paramref name="count"/> elements, paid for.</summary>
    public List<TemplateValue> NewItems(long count)
    {
        ChargeItems(count);
        Allocate(64 + 32 * count);
        return new List<TemplateValue>((int)count);
    }

    /// <summary>A dictionary for <paramref name="count"/> entries, paid for.</summary>
    public TemplateDictionary NewDictionary(int count)
    {
        ChargeItems(count);
        Allocate(64 + 128L * count);
        return new TemplateDictionary(count);
    }

    public TemplateValue Evaluate(TemplateExpression expression)
    {
        Line = expression.Line;
        Charge(1);
        Enter();
        TemplateValue value = expression.Evaluate(this);
        Leave();
        return value;
    }

    /// <summary>Runs statements until one of them leaves a loop's body.</summary>
    public TemplateFlow Execute(TemplateStatement[] body)
    {
        Enter();
        TemplateFlow flow = TemplateFlow.Completed;
        foreach (TemplateStatement statement in body)
        {
            Charge(1);
            flow = statement.Execute(this);
            if (flow != TemplateFlow.Completed)
                break;
        }

        Leave();
        return flow;
    }

    /// <summary>The value of a name in the scopes from the innermost outwards, a global function, or undefined.</summary>
    public TemplateValue Lookup(string name)
    {
        int hops = 0;
        for (TemplateScope? scope = Scope; scope is not null; scope = scope.Parent, hops++)
            if (scope.TryGet(name, out TemplateValue value))
            {
                ChargeItems(hops);
                return value;
            }

        ChargeItems(hops);
        return TemplateGlobals.All.TryGetValue(name, out TemplateBuiltin? builtin)
            ? new BoundBuiltin(builtin, default)
            : TemplateValue.Undefined(name);
    }

    /// <summary>Appends to the innermost capture, or to the output.</summary>
    public void Write(string text)
    {
        if (_capture is not null)
        {
            _capture.Append(text);
            return;
        }

        ChargeText(text.Length);
        if (_output.Length + (long)text.Length > budget.OutputCharacters)
            throw Exceeded("output", budget.OutputCharacters, " characters");
        _output.Append(text);
    }

    /// <summary>Runs statements in a scope of their own and returns the text they write.</summary>
    public string Capture(TemplateStatement[] body, TemplateScope scope)
    {
        // The scope, the builder and its first chunk.
        Allocate(256);
        TemplateTextBuilder? outer = _capture;
        TemplateScope outerScope = Scope;
        var capture = new TemplateTextBuilder(this);
        _capture = capture;
        Scope = scope;
        Execute(body);
        Scope = outerScope;
        _capture = outer;
        return capture.ToString();
    }

    /// <summary>Applies the filters of a block to its text.</summary>
    public TemplateValue Filter(string captured, TemplateExpression? filters)
    {
        if (filters is null)
            return captured;

        TemplateValue outer = Captured;
        Captured = captured;
        TemplateValue result = Evaluate(filters);
        Captured = outer;
        return result;
    }

    private TernException Exceeded(string budgetName, long limit, string unit) =>
        Fail($"{budgetName} budget of {limit}{unit} exceeded");
}

/// <summary>Builds a string of which every character is paid for before it is stored.</summary>
internal sealed class TemplateTextBuilder(TemplateRenderer renderer)
{
    // Two bytes in the builder, two in the string that it becomes.
    private const int BytesPerCharacter = 4;

    private readonly StringBuilder _text = new();

    public TemplateRenderer Renderer { get; } = renderer;

    public int Length => _text.Length;

    public TemplateTextBuilder Append(ReadOnlySpan<char> text)
    {
        Pay(text.Length);
        _text.Append(text);
        return this;
    }

    public TemplateTextBuilder Append(string text) => Append(text.AsSpan());

    public TemplateTextBuilder Append(char c, int count = 1)
    {
        Pay(count);
        _text.Append(c, count);
        return this;
    }

    public override string ToString() => _text.ToString();

    private void Pay(int characters)
    {
        Renderer.ChargeText(characters);
        Renderer.Allocate((long)BytesPerCharacter * characters);
    }
}
