namespace Tern.Text.Templates;

/// <summary><c>{% for target in sequence if condition recursive %} … {% else %} … {% endfor %}</c>.</summary>
internal sealed class ForStatement(
    int line, AssignmentTarget target, TemplateExpression sequence, TemplateExpression? condition, TemplateStatement[] body, TemplateStatement[] otherwise, bool isRecursive) : TemplateStatement
{
    public override TemplateFlow Execute(TemplateRenderer renderer)
    {
        TemplateValue value = renderer.Evaluate(sequence);
        Run(renderer, value, renderer.Scope, depth: 0);
        return TemplateFlow.Completed;
    }

    /// <summary>A deeper level of a recursive loop, as text.</summary>
    public string Recurse(TemplateRenderer renderer, TemplateValue value, TemplateScope outer, int depth) =>
        renderer.Capture([new Level(this, value, outer, depth)], outer);

    private void Run(TemplateRenderer renderer, TemplateValue value, TemplateScope outer, int depth)
    {
        renderer.Line = line;
        TemplateList items = TemplateAccess.Elements(renderer, value);
        if (condition is not null)
            items = Filter(renderer, items, condition, outer);

        // The loop variable and a scope.
        renderer.Charge(3);
        renderer.Allocate(320);
        var loop = new TemplateLoop(items, isRecursive ? this : null, outer, depth);
        TemplateScope? scope = null;
        for (int i = 0; i < loop.Length && i < items.Count; i++)
        {
            scope = Fresh(scope, outer);
            renderer.Scope = scope;
            loop.Index = i;
            scope.Set("loop", loop);
            renderer.Charge(1);
            renderer.Line = line;
            target.Assign(renderer, items[i]);
            if (renderer.Execute(body) == TemplateFlow.Break)
                break;
        }

        renderer.Scope = outer;
        if (loop.Length == 0)
        {
            renderer.Scope = new TemplateScope(outer);
            renderer.Execute(otherwise);
            renderer.Scope = outer;
        }
    }

    private TemplateList Filter(TemplateRenderer renderer, TemplateList items, TemplateExpression test, TemplateScope outer)
    {
        var kept = new List<TemplateValue>();
        TemplateScope? scope = null;
        for (int i = 0; i < items.Count; i++)
        {
            scope = Fresh(scope, outer);
            renderer.Scope = scope;
            renderer.Line = line;
            target.Assign(renderer, items[i]);
            if (!renderer.Evaluate(test).IsTrue)
                continue;
            renderer.Allocate(64);
            kept.Add(items[i]);
        }

        renderer.Scope = outer;
        return new TemplateList(kept);
    }

    /// <summary>An empty scope for the next iteration: the last one again, unless something kept it.</summary>
    private static TemplateScope Fresh(TemplateScope? last, TemplateScope outer)
    {
        if (last is null or { IsKept: true })
            return new TemplateScope(outer);
        last.Clear();
        return last;
    }

    private sealed class Level(ForStatement loop, TemplateValue value, TemplateScope outer, int depth) : TemplateStatement
    {
        public override TemplateFlow Execute(TemplateRenderer renderer)
        {
            loop.Run(renderer, value, outer, depth);
            return TemplateFlow.Completed;
        }
    }
}

/// <summary>The variable <c>loop</c>.</summary>
internal sealed class TemplateLoop(TemplateList items, ForStatement? recursive, TemplateScope outer, int depth) : TemplateObject
{
    private TemplateValue[]? _changedLast;

    public override string Name => "loop";

    /// <summary>Number of iterations, fixed when the loop begins.</summary>
    public int Length { get; } = items.Count;

    /// <summary>The iteration in progress, from 0.</summary>
    public int Index { get; set; }

    public override bool TryGetAttribute(TemplateRenderer renderer, string name, out TemplateValue value)
    {
        value = name switch
        {
            "index" => Index + 1L,
            "index0" => (long)Index,
            "revindex" => (long)Length - Index,
            "revindex0" => Length - Index - 1L,
            "first" => Index == 0,
            "last" => Index == Length - 1,
            "length" => (long)Length,
            "depth" => depth + 1L,
            "depth0" => (long)depth,
            "previtem" when Index > 0 && Index - 1 < items.Count => items[Index - 1],
            "nextitem" when Index + 1 < Math.Min(Length, items.Count) => items[Index + 1],
            "cycle" => new BoundBuiltin(s_cycle, this),
            "changed" => new BoundBuiltin(s_changed, this),
            _ => default(TemplateValue),
        };
        return !value.IsUndefined;
    }

    /// <summary><c>loop(children)</c> in a recursive loop.</summary>
    public override TemplateValue Call(TemplateRenderer renderer, TemplateArguments arguments)
    {
        if (recursive is null)
            throw renderer.Fail("loop can be called only in '{% for … recursive %}'");
        if (arguments.Positional.Length != 1)
            throw renderer.Fail("loop() takes one argument, the sequence of the deeper level");
        return recursive.Recurse(renderer, arguments.Positional[0], outer, depth + 1);
    }

    private static readonly TemplateBuiltin s_cycle = new("cycle", "*", static c => c.Given.Positional is { Length: > 0 } values
        ? values[((TemplateLoop)c.Subject.AsObject).Index % values.Length]
        : throw c.Fail("at least one value is needed"));

    private static readonly TemplateBuiltin s_changed = new("changed", "*", static c => ((TemplateLoop)c.Subject.AsObject).Changed(c));

    private bool Changed(TemplateCall call)
    {
        TemplateValue[] values = call.Given.Positional;
        bool same = _changedLast is not null && _changedLast.Length == values.Length;
        for (int i = 0; same && i < values.Length; i++)
            same = TemplateOperators.AreEqual(call.Renderer, values[i], _changedLast![i]);
        _changedLast = values;
        return !same;
    }
}
