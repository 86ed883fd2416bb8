namespace Tern.Extensions.AI;
