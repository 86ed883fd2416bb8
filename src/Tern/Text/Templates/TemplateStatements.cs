namespace Tern.Text.Templates;

/// <summary>A piece of a template's body. Only <see cref="TemplateRenderer.Execute"/> calls <see cref="Execute"/>: it counts steps and depth.</summary>
internal abstract class TemplateStatement
{
    public abstract TemplateFlow Execute(TemplateRenderer renderer);
}

/// <summary>Text outside of tags.</summary>
internal sealed class TextStatement(string text) : TemplateStatement
{
    public override TemplateFlow Execute(TemplateRenderer renderer)
    {
        renderer.Write(text);
        return TemplateFlow.Completed;
    }
}

/// <summary><c>{{ expression }}</c>.</summary>
internal sealed class OutputStatement(TemplateExpression expression) : TemplateStatement
{
    public override TemplateFlow Execute(TemplateRenderer renderer)
    {
        TemplateValue value = renderer.Evaluate(expression);
        renderer.Line = expression.Line;
        renderer.Write(TemplateText.Of(renderer, value));
        return TemplateFlow.Completed;
    }
}

/// <summary><c>{% if %} … {% elif %} … {% else %} … {% endif %}</c>; opens no scope.</summary>
internal sealed class IfStatement((TemplateExpression Condition, TemplateStatement[] Body)[] branches, TemplateStatement[] otherwise) : TemplateStatement
{
    public override TemplateFlow Execute(TemplateRenderer renderer)
    {
        foreach ((TemplateExpression condition, TemplateStatement[] body) in branches)
            if (renderer.Evaluate(condition).IsTrue)
                return renderer.Execute(body);
        return renderer.Execute(otherwise);
    }
}

/// <summary><c>{% set a, b = value %}</c>.</summary>
internal sealed class SetStatement(int line, AssignmentTarget target, TemplateExpression value) : TemplateStatement
{
    public override TemplateFlow Execute(TemplateRenderer renderer)
    {
        TemplateValue result = renderer.Evaluate(value);
        renderer.Line = line;
        target.Assign(renderer, result);
        return TemplateFlow.Completed;
    }
}

/// <summary><c>{% set a | filter %} … {% endset %}</c>.</summary>
internal sealed class SetBlockStatement(int line, AssignmentTarget target, TemplateExpression? filters, TemplateStatement[] body) : TemplateStatement
{
    public override TemplateFlow Execute(TemplateRenderer renderer)
    {
        string text = renderer.Capture(body, new TemplateScope(renderer.Scope));
        TemplateValue result = renderer.Filter(text, filters);
        renderer.Line = line;
        target.Assign(renderer, result);
        return TemplateFlow.Completed;
    }
}

/// <summary><c>{% filter name %} … {% endfilter %}</c>.</summary>
internal sealed class FilterBlockStatement(TemplateExpression filters, TemplateStatement[] body) : TemplateStatement
{
    public override TemplateFlow Execute(TemplateRenderer renderer)
    {
        string text = renderer.Capture(body, new TemplateScope(renderer.Scope));
        TemplateValue result = renderer.Filter(text, filters);
        renderer.Write(TemplateText.Of(renderer, result));
        return TemplateFlow.Completed;
    }
}

/// <summary><c>{% with a = 1 %} … {% endwith %}</c>, and <c>{% generation %} … {% endgeneration %}</c>, which only marks what a model said.</summary>
internal sealed class ScopeStatement(int line, (AssignmentTarget Target, TemplateExpression Value)[] variables, TemplateStatement[] body) : TemplateStatement
{
    public override TemplateFlow Execute(TemplateRenderer renderer)
    {
        TemplateScope outer = renderer.Scope;
        var inner = new TemplateScope(outer);
        foreach ((AssignmentTarget target, TemplateExpression value) in variables)
        {
            // Values see the variables outside, not each other.
            renderer.Scope = outer;
            TemplateValue result = renderer.Evaluate(value);
            renderer.Scope = inner;
            renderer.Line = line;
            target.Assign(renderer, result);
        }

        renderer.Scope = inner;
        TemplateFlow flow = renderer.Execute(body);
        renderer.Scope = outer;
        return flow;
    }
}

/// <summary><c>{% break %}</c> or <c>{% continue %}</c>.</summary>
internal sealed class FlowStatement(TemplateFlow flow) : TemplateStatement
{
    public override TemplateFlow Execute(TemplateRenderer renderer) => flow;
}

/// <summary><c>{% macro name(a, b=1) %} … {% endmacro %}</c>.</summary>
internal sealed class MacroStatement(string name, MacroDefinition definition) : TemplateStatement
{
    public override TemplateFlow Execute(TemplateRenderer renderer)
    {
        renderer.Scope.Set(name, new MacroFunction(definition, renderer.Scope));
        return TemplateFlow.Completed;
    }
}

/// <summary><c>{% call(a) macro(b) %} … {% endcall %}</c>: the macro may call its <c>caller</c>.</summary>
internal sealed class CallBlockStatement(int line, CallExpression call, MacroDefinition body) : TemplateStatement
{
    public override TemplateFlow Execute(TemplateRenderer renderer)
    {
        TemplateValue result = call.Call(renderer, new MacroFunction(body, renderer.Scope));
        renderer.Line = line;
        renderer.Write(TemplateText.Of(renderer, result));
        return TemplateFlow.Completed;
    }
}

/// <summary>What a macro is before it meets a scope.</summary>
internal sealed record MacroDefinition(string Name, (string Name, TemplateExpression? Default)[] Parameters, TemplateStatement[] Body);

/// <summary>A macro in the scope in which it was defined. Calling it gives the text that it writes.</summary>
internal sealed class MacroFunction : TemplateFunction
{
    private readonly MacroDefinition _definition;
    private readonly TemplateScope _scope;

    public MacroFunction(MacroDefinition definition, TemplateScope scope)
    {
        _definition = definition;
        _scope = scope;
        for (TemplateScope? kept = scope; kept is { IsKept: false }; kept = kept.Parent)
            kept.IsKept = true;
    }

    public override string Name => _definition.Name;

    public override TemplateValue Call(TemplateRenderer renderer, TemplateArguments arguments)
    {
        (string Name, TemplateExpression? Default)[] parameters = _definition.Parameters;
        if (arguments.Positional.Length > parameters.Length)
            throw renderer.Fail($"{Name}() takes at most {parameters.Length} arguments, {arguments.Positional.Length} were given");
        foreach ((string keyword, TemplateValue _) in arguments.Keywords)
            if (keyword != "caller" && Array.FindIndex(parameters, p => p.Name == keyword) < 0)
                throw renderer.Fail($"{Name}() has no argument '{keyword}'");

        TemplateScope outer = renderer.Scope;
        var inner = new TemplateScope(_scope);
        inner.Set("caller", arguments.Keyword("caller"));
        renderer.Scope = inner;
        for (int i = 0; i < parameters.Length; i++)
            inner.Set(parameters[i].Name, Argument(renderer, arguments, i));
        renderer.Scope = outer;
        return renderer.Capture(_definition.Body, inner);
    }

    private TemplateValue Argument(TemplateRenderer renderer, TemplateArguments arguments, int index)
    {
        (string name, TemplateExpression? fallback) = _definition.Parameters[index];
        if (index < arguments.Positional.Length)
            return arguments.Positional[index];
        foreach ((string keyword, TemplateValue value) in arguments.Keywords)
            if (keyword == name)
                return value;
        return fallback is null ? TemplateValue.Undefined(name) : renderer.Evaluate(fallback);
    }
}

/// <summary>Where a value goes: a name, an attribute of a namespace, or a row of names.</summary>
internal sealed record AssignmentTarget(string Name, string? Attribute, AssignmentTarget[]? Row)
{
    public void Assign(TemplateRenderer renderer, TemplateValue value)
    {
        if (Row is not null)
            AssignRow(renderer, value);
        else if (Attribute is null)
            renderer.Scope.Set(Name, value);
        else if (renderer.Lookup(Name) is { Kind: TemplateKind.Object } holder && holder.AsObject is TemplateNamespace ns)
        {
            renderer.Allocate(128);
            ns.Attributes.Set(Attribute, value);
        }
        else
            throw renderer.Fail($"'{Name}.{Attribute}' cannot be set: '{Name}' is not a namespace");
    }

    private void AssignRow(TemplateRenderer renderer, TemplateValue value)
    {
        int given = 0;
        foreach (TemplateValue item in TemplateAccess.Iterate(renderer, value))
        {
            if (given < Row!.Length)
                Row[given].Assign(renderer, item);
            given++;
        }

        if (given != Row!.Length)
            throw renderer.Fail($"{given} values cannot be unpacked into {Row.Length} names");
    }
}
