namespace Tern.Text.Templates;

/// <summary>A node of the expression tree. Only <see cref="TemplateRenderer.Evaluate"/> calls <see cref="Evaluate"/>: it counts steps and depth.</summary>
internal abstract class TemplateExpression(int line)
{
    /// <summary>The line on which the node stands.</summary>
    public int Line { get; } = line;

    public abstract TemplateValue Evaluate(TemplateRenderer renderer);
}

/// <summary><c>'text'</c>, <c>12</c>, <c>true</c>, <c>none</c>.</summary>
internal sealed class LiteralExpression(int line, TemplateValue value) : TemplateExpression(line)
{
    public TemplateValue Value { get; } = value;

    public override TemplateValue Evaluate(TemplateRenderer renderer) => Value;
}

/// <summary><c>name</c>: the innermost scope that has it, else a global function, else undefined.</summary>
internal sealed class NameExpression(int line, string name) : TemplateExpression(line)
{
    public string Name { get; } = name;

    public override TemplateValue Evaluate(TemplateRenderer renderer) => renderer.Lookup(Name);
}

/// <summary><c>[a, b]</c> or <c>(a, b)</c>.</summary>
internal sealed class SequenceExpression(int line, TemplateExpression[] items, bool isTuple) : TemplateExpression(line)
{
    public TemplateExpression[] Items { get; } = items;

    public bool IsTuple { get; } = isTuple;

    public override TemplateValue Evaluate(TemplateRenderer renderer)
    {
        List<TemplateValue> values = renderer.NewItems(Items.Length);
        foreach (TemplateExpression item in Items)
            values.Add(renderer.Evaluate(item));
        var list = new TemplateList(values);
        return IsTuple ? TemplateValue.Tuple(list) : TemplateValue.List(list);
    }
}

/// <summary><c>{key: value}</c>.</summary>
internal sealed class DictionaryExpression(int line, (TemplateExpression Key, TemplateExpression Value)[] pairs) : TemplateExpression(line)
{
    public override TemplateValue Evaluate(TemplateRenderer renderer)
    {
        TemplateDictionary dictionary = renderer.NewDictionary(pairs.Length);
        foreach ((TemplateExpression key, TemplateExpression value) in pairs)
        {
            TemplateValue keyValue = renderer.Evaluate(key);
            TemplateValue valueValue = renderer.Evaluate(value);
            renderer.Line = Line;
            dictionary.Set(TemplateOperators.Key(renderer, keyValue), valueValue);
        }

        return dictionary;
    }
}

/// <summary><c>-a</c>, <c>+a</c>, <c>not a</c>.</summary>
internal sealed class UnaryExpression(int line, string operation, TemplateExpression operand) : TemplateExpression(line)
{
    public override TemplateValue Evaluate(TemplateRenderer renderer)
    {
        TemplateValue value = renderer.Evaluate(operand);
        renderer.Line = Line;
        return operation == "not" ? !value.IsTrue : TemplateOperators.Sign(renderer, value, operation);
    }
}

/// <summary>Arithmetic: <c>+ - * / // % **</c>.</summary>
internal sealed class ArithmeticExpression(int line, string operation, TemplateExpression left, TemplateExpression right) : TemplateExpression(line)
{
    public override TemplateValue Evaluate(TemplateRenderer renderer)
    {
        TemplateValue a = renderer.Evaluate(left);
        TemplateValue b = renderer.Evaluate(right);
        renderer.Line = Line;
        return TemplateOperators.Arithmetic(renderer, operation, a, b);
    }
}

/// <summary><c>a ~ b ~ c</c>: the texts of all operands, one after the other.</summary>
internal sealed class ConcatenationExpression(int line, TemplateExpression[] operands) : TemplateExpression(line)
{
    public override TemplateValue Evaluate(TemplateRenderer renderer)
    {
        var text = new TemplateTextBuilder(renderer);
        foreach (TemplateExpression operand in operands)
        {
            TemplateValue value = renderer.Evaluate(operand);
            renderer.Line = Line;
            TemplateText.Append(text, value);
        }

        return text.ToString();
    }
}

/// <summary><c>a and b</c>, <c>a or b</c>: the operand that decides, not a boolean.</summary>
internal sealed class LogicalExpression(int line, bool isAnd, TemplateExpression left, TemplateExpression right) : TemplateExpression(line)
{
    public override TemplateValue Evaluate(TemplateRenderer renderer)
    {
        TemplateValue value = renderer.Evaluate(left);
        return value.IsTrue == isAnd ? renderer.Evaluate(right) : value;
    }
}

/// <summary><c>a &lt; b &lt;= c</c>, <c>a in b</c>, <c>a not in b</c>: chained as in Python.</summary>
internal sealed class ComparisonExpression(int line, TemplateExpression first, (string Operation, TemplateExpression Operand)[] rest) : TemplateExpression(line)
{
    public override TemplateValue Evaluate(TemplateRenderer renderer)
    {
        TemplateValue left = renderer.Evaluate(first);
        foreach ((string operation, TemplateExpression operand) in rest)
        {
            TemplateValue right = renderer.Evaluate(operand);
            renderer.Line = Line;
            if (!TemplateOperators.Compare(renderer, operation, left, right))
                return false;
            left = right;
        }

        return true;
    }
}

/// <summary><c>a if condition else b</c>; without <c>else</c> undefined.</summary>
internal sealed class ConditionalExpression(int line, TemplateExpression condition, TemplateExpression then, TemplateExpression? otherwise) : TemplateExpression(line)
{
    public override TemplateValue Evaluate(TemplateRenderer renderer) =>
        renderer.Evaluate(condition).IsTrue ? renderer.Evaluate(then) : otherwise is null ? default : renderer.Evaluate(otherwise);
}

/// <summary><c>a.name</c>: a method first, then a key.</summary>
internal sealed class AttributeExpression(int line, TemplateExpression owner, string name) : TemplateExpression(line)
{
    public override TemplateValue Evaluate(TemplateRenderer renderer)
    {
        TemplateValue value = renderer.Evaluate(owner);
        renderer.Line = Line;
        return TemplateAccess.Attribute(renderer, value, name);
    }
}

/// <summary><c>a[index]</c>: a key or place first, then a method.</summary>
internal sealed class ItemExpression(int line, TemplateExpression owner, TemplateExpression index) : TemplateExpression(line)
{
    public override TemplateValue Evaluate(TemplateRenderer renderer)
    {
        TemplateValue value = renderer.Evaluate(owner);
        TemplateValue at = renderer.Evaluate(index);
        renderer.Line = Line;
        return TemplateAccess.Item(renderer, value, at);
    }
}

/// <summary><c>a[start:stop:step]</c>, each of them optional.</summary>
internal sealed class SliceExpression(int line, TemplateExpression owner, TemplateExpression? start, TemplateExpression? stop, TemplateExpression? step) : TemplateExpression(line)
{
    public override TemplateValue Evaluate(TemplateRenderer renderer)
    {
        TemplateValue value = renderer.Evaluate(owner);
        TemplateValue from = start is null ? TemplateValue.None : renderer.Evaluate(start);
        TemplateValue to = stop is null ? TemplateValue.None : renderer.Evaluate(stop);
        TemplateValue by = step is null ? TemplateValue.None : renderer.Evaluate(step);
        renderer.Line = Line;
        return TemplateAccess.Slice(renderer, value, from, to, by);
    }
}

/// <summary><c>f(a, name=b, *list, **dictionary)</c>.</summary>
internal sealed class CallExpression(int line, TemplateExpression function, ArgumentList arguments) : TemplateExpression(line)
{
    public override TemplateValue Evaluate(TemplateRenderer renderer) => Call(renderer, caller: null);

    /// <summary>Calls, handing the body of a <c>{% call %}</c> block to the macro.</summary>
    public TemplateValue Call(TemplateRenderer renderer, TemplateFunction? caller)
    {
        TemplateValue target = renderer.Evaluate(function);
        TemplateArguments values = arguments.Evaluate(renderer);
        if (caller is not null)
            values = values.With("caller", caller);

        renderer.Line = Line;
        return target.Kind switch
        {
            TemplateKind.Function or TemplateKind.Object => target.AsObject.Call(renderer, values),
            TemplateKind.Undefined => throw renderer.Fail($"'{target.UndefinedName}' is undefined and cannot be called"),
            _ => throw renderer.Fail($"a value of type '{target.TypeName}' cannot be called"),
        };
    }
}

/// <summary><c>value | name(arguments)</c>. An unknown name is an error only where it is reached, as in Jinja.</summary>
internal sealed class FilterExpression(int line, TemplateExpression subject, string name, ArgumentList arguments) : TemplateExpression(line)
{
    public override TemplateValue Evaluate(TemplateRenderer renderer)
    {
        TemplateValue value = renderer.Evaluate(subject);
        TemplateArguments values = arguments.Evaluate(renderer);
        renderer.Line = Line;
        return TemplateFilters.Apply(renderer, name, value, values);
    }
}

/// <summary><c>value is name(arguments)</c>.</summary>
internal sealed class TestExpression(int line, TemplateExpression subject, string name, ArgumentList arguments) : TemplateExpression(line)
{
    public override TemplateValue Evaluate(TemplateRenderer renderer)
    {
        TemplateValue value = renderer.Evaluate(subject);
        TemplateArguments values = arguments.Evaluate(renderer);
        renderer.Line = Line;
        return TemplateTests.Apply(renderer, name, value, values);
    }
}

/// <summary>The text that a <c>{% filter %}</c> or <c>{% set %}</c> block has captured, as the subject of its filters.</summary>
internal sealed class CapturedExpression(int line) : TemplateExpression(line)
{
    public override TemplateValue Evaluate(TemplateRenderer renderer) => renderer.Captured;
}

/// <summary>The arguments of a call as they are written.</summary>
internal sealed record ArgumentList(
    TemplateExpression[] Positional, (string Name, TemplateExpression Value)[] Keywords, TemplateExpression? Spread, TemplateExpression? SpreadKeywords)
{
    public static ArgumentList None { get; } = new([], [], null, null);

    public TemplateArguments Evaluate(TemplateRenderer renderer)
    {
        if (ReferenceEquals(this, None))
            return TemplateArguments.None;

        TemplateValue[] positional = Positional.Length == 0 ? [] : new TemplateValue[Positional.Length];
        for (int i = 0; i < positional.Length; i++)
            positional[i] = renderer.Evaluate(Positional[i]);
        if (Spread is not null)
            positional = [.. positional, .. TemplateAccess.Iterate(renderer, renderer.Evaluate(Spread))];

        (string, TemplateValue)[] keywords = Keywords.Length == 0 ? [] : new (string, TemplateValue)[Keywords.Length];
        for (int i = 0; i < keywords.Length; i++)
            keywords[i] = (Keywords[i].Name, renderer.Evaluate(Keywords[i].Value));
        if (SpreadKeywords is not null)
            keywords = [.. keywords, .. Entries(renderer, renderer.Evaluate(SpreadKeywords))];

        return new TemplateArguments(positional, keywords);
    }

    private static IEnumerable<(string, TemplateValue)> Entries(TemplateRenderer renderer, TemplateValue value)
    {
        if (value.Kind != TemplateKind.Dictionary)
            throw renderer.Fail($"the argument after ** must be a dict, not '{value.TypeName}'");

        for (int i = 0; i < value.AsDictionary.Count; i++)
        {
            renderer.Charge(1);
            TemplateValue key = value.AsDictionary[i].Key.Value;
            yield return key.IsString ? (key.AsString, value.AsDictionary[i].Value) : throw renderer.Fail("keywords must be strings");
        }
    }
}
